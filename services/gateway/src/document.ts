/**
 * What a document may be: its sizes, counted in time that grows with its text alone, before it is
 * validated or compiled. Validating compares fields in pairs and compiling writes fragments out, so
 * that a small text can be a great work.
 */
import { invalidArgument } from "@piata/kit/errors";
import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isIntrospectionType,
  isListType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  parse,
  type SelectionNode,
  type SelectionSetNode,
  visit,
} from "graphql";

/** The most of each. What is "written" counts once, and in fragments that nobody uses, too. */
export interface DocumentLimits {
  /** Characters (UTF-16 code units) of the text. */
  length: number;
  /** Tokens, and comments, written. */
  tokens: number;
  /** Fields inside one another, the outermost included. */
  depth: number;
  /** Aliases written. */
  aliases: number;
  /** Directives written. */
  directives: number;
  /** Times that one name of an answer is written: validation compares them all in pairs. */
  repeats: number;
  /** Fields of Query or Mutation that one operation asks for. */
  rootFields: number;
  /** What one operation costs. */
  complexity: number;
  /** Values that the variables hold, each list, object and what is in them. */
  values: number;
}

export interface Operation {
  name: string | undefined;
  kind: "query" | "mutation" | "subscription";
  /** At most: a field is 1, and a list as many times what is asked of its items. */
  cost: number;
}

/** A document that may be run, if it is valid. */
export interface Judged {
  document: DocumentNode;
  operations: Operation[];
}

/** How many items a list is taken to have that no argument bounds. */
const LIST_SIZE = 10;
/** Of the shop's only list that is asked for by itself and has no pages: its most by default. */
const LIST_SIZES: Readonly<Record<string, number>> = { "Query.categories": 1_000 };
/** The most items of a page, and what a variable counts for. */
const PAGE_MAX = 100;
const PAGE_ARGUMENT = "first";

const TOO_LARGE: Readonly<Record<keyof DocumentLimits, (max: number) => string>> = {
  length: (max) => `has over ${max} characters: send values as variables`,
  tokens: (max) => `has over ${max} tokens or comments: ask for less`,
  depth: (max) => `nests fields over ${max} deep: ask for less`,
  aliases: (max) => `has over ${max} aliases: send several requests`,
  directives: (max) => `has over ${max} directives: leave out what is not asked for`,
  repeats: (max) => `names the same field over ${max} times: name it once, or in one fragment`,
  rootFields: (max) => `asks for over ${max} root fields at once: send several requests`,
  complexity: (max) => `costs over ${max} (fields times items): ask for fewer items or fields`,
  values: (max) => `has variables of over ${max} values: send several requests`,
};

/** INVALID_ARGUMENT / DOCUMENT_TOO_LARGE: a limit is exceeded. */
export const tooLarge = (limit: keyof DocumentLimits, max: number) =>
  invalidArgument("DOCUMENT_TOO_LARGE", `The document ${TOO_LARGE[limit](max)}.`, {
    limit,
    max: String(max),
  });

/**
 * Throws INVALID_ARGUMENT / DOCUMENT_TOO_LARGE. Each fault in variables quotes what it is in, so that
 * what holds much has long messages, many of them.
 */
export function checkVariables(variables: object, { values: max }: DocumentLimits): void {
  const inside: unknown[] = [variables];
  let count = 0;
  for (let value = inside.pop(); value !== undefined; value = inside.pop()) {
    if (typeof value !== "object" || value === null) continue;
    const values = Object.values(value);
    count += values.length;
    if (count > max) throw tooLarge("values", max);
    for (const one of values) inside.push(one);
  }
}

export interface DocumentRules {
  schema: GraphQLSchema;
  limits: DocumentLimits;
  /** Whether documents may ask for the schema. */
  introspection: boolean;
}

/**
 * Parses and measures a document. Throws INVALID_ARGUMENT / DOCUMENT_TOO_LARGE, INTROSPECTION_OFF;
 * a GraphQLError when it is not well-formed or a fragment contains itself.
 */
export function judge(text: string, { schema, limits, introspection }: DocumentRules): Judged {
  const document = parsed(text, limits);
  const written = countWritten(document);
  const check = (limit: keyof DocumentLimits, found: number) => {
    if (found > limits[limit]) throw tooLarge(limit, limits[limit]);
  };
  check("aliases", written.aliases);
  check("directives", written.directives);
  check("repeats", written.repeats);
  if (written.asksForSchema && !introspection) {
    throw invalidArgument(
      "INTROSPECTION_OFF",
      "The schema is not shown here: __schema and __type cannot be asked for.",
    );
  }
  const measuring = new Measuring(document, schema);
  const operations: Operation[] = [];
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) {
      check("depth", measuring.fragment(definition).depth);
    }
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue;
    const { depth, fields, cost } = measuring.operation(definition);
    check("depth", depth);
    check("rootFields", fields);
    check("complexity", cost);
    operations.push({ name: definition.name?.value, kind: definition.operation, cost });
  }
  return { document, operations };
}

// The parser has no other name for why it gave up.
const GAVE_UP = /(tokens|comments)\. Parsing aborted\.$/;

function parsed(text: string, { length, tokens }: DocumentLimits): DocumentNode {
  if (text.length > length) throw tooLarge("length", length);
  try {
    // Syntax trees keep every token and comment: what is kept compiled is bounded by them.
    return parse(text, { maxLexicalTokens: tokens, maxComments: tokens });
  } catch (error) {
    if (error instanceof GraphQLError && GAVE_UP.test(error.message)) {
      throw tooLarge("tokens", tokens);
    }
    throw error;
  }
}

function countWritten(document: DocumentNode) {
  const written = { aliases: 0, directives: 0, repeats: 0, asksForSchema: false };
  const times = new Map<string, number>();
  visit(document, {
    Directive() {
      written.directives += 1;
    },
    Field({ alias, name }) {
      if (alias) written.aliases += 1;
      if (name.value === "__schema" || name.value === "__type") written.asksForSchema = true;
      const key = (alias ?? name).value;
      const count = (times.get(key) ?? 0) + 1;
      times.set(key, count);
      written.repeats = Math.max(written.repeats, count);
    },
  });
  return written;
}

/** Of a selection set with its fragments written out. */
interface Size {
  depth: number;
  /** At its own level. */
  fields: number;
  cost: number;
}

type Type = GraphQLNamedType | null | undefined;

/** Where a selection stands. */
interface Place {
  /** Undefined where the schema knows of none: that is for validation to say. */
  type: Type;
  /** Directly below a field whose `first` has counted the items already. */
  isPage: boolean;
}

/** Measures selections; each fragment once, however often it is used. */
class Measuring {
  readonly #schema: GraphQLSchema;
  readonly #fragments = new Map<string, FragmentDefinitionNode>();
  /** Of fragments, as they are on a page and elsewhere; undefined while they are being measured. */
  readonly #sizes = new Map<string, Size | undefined>();

  constructor(document: DocumentNode, schema: GraphQLSchema) {
    this.#schema = schema;
    for (const definition of document.definitions) {
      if (definition.kind === Kind.FRAGMENT_DEFINITION) {
        this.#fragments.set(definition.name.value, definition);
      }
    }
  }

  operation({ operation, selectionSet }: OperationDefinitionNode): Size {
    const type = this.#schema.getRootType(operation);
    return this.#selections(selectionSet, { type, isPage: false });
  }

  fragment(fragment: FragmentDefinitionNode, isPage = false): Size {
    const key = `${isPage ? "page " : ""}${fragment.name.value}`;
    const known = this.#sizes.get(key);
    if (known) return known;
    if (this.#sizes.has(key)) {
      const message = `Cannot spread fragment "${fragment.name.value}" within itself.`;
      throw new GraphQLError(message, { nodes: fragment });
    }
    this.#sizes.set(key, undefined);
    const type = this.#schema.getType(fragment.typeCondition.name.value);
    const size = this.#selections(fragment.selectionSet, { type, isPage });
    this.#sizes.set(key, size);
    return size;
  }

  #selections({ selections }: SelectionSetNode, place: Place): Size {
    const whole: Size = { depth: 0, fields: 0, cost: 0 };
    for (const selection of selections) {
      const { depth, fields, cost } = this.#selection(selection, place);
      whole.depth = Math.max(whole.depth, depth);
      whole.fields += fields;
      whole.cost += cost;
    }
    return whole;
  }

  #selection(selection: SelectionNode, place: Place): Size {
    if (selection.kind === Kind.FIELD) return this.#field(selection, place);
    if (selection.kind === Kind.INLINE_FRAGMENT) {
      const { typeCondition, selectionSet } = selection;
      const type = typeCondition ? this.#schema.getType(typeCondition.name.value) : place.type;
      return this.#selections(selectionSet, { ...place, type });
    }
    const fragment = this.#fragments.get(selection.name.value);
    return fragment ? this.fragment(fragment, place.isPage) : { depth: 0, fields: 0, cost: 0 };
  }

  #field(node: FieldNode, { type, isPage }: Place): Size {
    if (!node.selectionSet) return { depth: 1, fields: 1, cost: 1 };
    const field = isObjectType(type) ? type.getFields()[node.name.value] : undefined;
    const below = field && getNamedType(field.type);
    const page = field && pageSize(node, field);
    const { depth, cost } = this.#selections(node.selectionSet, {
      type: below,
      isPage: page !== undefined,
    });
    const isList = field !== undefined && isListType(getNullableType(field.type));
    // What introspection can ask for is as large as the schema, and graphql bounds its depth.
    const isOwnList = isList && !isPage && !(below && isIntrospectionType(below));
    const size = LIST_SIZES[`${type?.name}.${node.name.value}`] ?? LIST_SIZE;
    const times = page ?? (isOwnList ? size : 1);
    return { depth: depth + 1, fields: 1, cost: 1 + times * cost };
  }
}

/** How many items a field gives that takes a page's size; undefined for one that does not. */
function pageSize(
  { arguments: given = [] }: FieldNode,
  { args }: GraphQLField<unknown, unknown>,
): number | undefined {
  const argument = args.find(({ name }) => name === PAGE_ARGUMENT);
  if (!argument) return undefined;
  const value = given.find(({ name }) => name.value === PAGE_ARGUMENT)?.value;
  const size = value ? value.kind === Kind.INT && Number(value.value) : argument.defaultValue;
  // Whatever else it is may be any number; too large a one is refused when it is asked for.
  return typeof size === "number" ? Math.min(Math.max(size, 1), PAGE_MAX) : PAGE_MAX;
}
