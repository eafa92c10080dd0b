/** Requests as nobody sends them on purpose: of the schema's names, of torn texts, of noise. */
import * as fc from "fast-check";
import {
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLObjectType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isEnumType,
  isInputObjectType,
  isListType,
  isObjectType,
} from "graphql";

/** Texts that have meant something to somebody: a language, a database, a protocol. */
const STRANGE = [
  "",
  " ",
  "\0",
  "a\0b",
  "\ud800",
  "\udc00x",
  "é\u0301",
  "\u202e",
  "💶".repeat(40),
  "__proto__",
  "constructor",
  "toString",
  "$where",
  "' or ''='",
  "%",
  "\\",
  "\r\nx: y",
  "NaN",
  "MQ==",
  "a".repeat(3_000),
  "ana@example.com",
  "success",
];
const KEYS = [
  "id",
  "input",
  "first",
  "after",
  "productId",
  "quantity",
  "$gt",
  "$where",
  ...STRANGE,
];

const NUMBERS = [
  ...["0", "-0", "1", "2", "-1", "1.5", "100", "101", "999", "2147483647", "2147483648"],
  ...["9007199254740993", "1e308", "1e400", "-1e400", "1e-400", `${"9".repeat(400)}`],
];

const text = fc.oneof(
  fc.constantFrom(...STRANGE),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ maxLength: 40 }),
);

const lists = (depth: number): string => `${"[".repeat(depth)}${"]".repeat(depth)}`;

/** The text of some JSON; by letters, for there is JSON that no value is written as. */
const json: fc.Arbitrary<string> = fc.letrec<{ json: string }>((tie) => ({
  json: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    { weight: 6, arbitrary: fc.constantFrom("null", "true", "false", ...NUMBERS) },
    { weight: 6, arbitrary: text.map((value) => JSON.stringify(value)) },
    { weight: 3, arbitrary: fc.integer().map(String) },
    { weight: 3, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }).map(String) },
    { weight: 1, arbitrary: fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 20_000 })).map(lists) },
    { weight: 3, arbitrary: fc.array(tie("json"), { maxLength: 5 }).map((items) => `[${items}]`) },
    {
      weight: 4,
      arbitrary: fc
        .array(fc.tuple(fc.constantFrom(...KEYS), tie("json")), { maxLength: 5 })
        .map((pairs) => `{${pairs.map(([key, value]) => `${JSON.stringify(key)}:${value}`)}}`),
    },
  ),
})).json;

/** Decisions, each a byte; when there are none left, always the first. */
class Choices {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  below(count: number): number {
    const byte = this.#bytes[this.#at++] ?? 0;
    return byte % count;
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  /** True once in so many times. */
  rarely(times: number): boolean {
    return this.below(times) === times - 1;
  }
}

/** Writes one document, mostly as the schema has it, and variables for it. */
class Writer {
  readonly #schema: GraphQLSchema;
  readonly #choices: Choices;
  readonly #variables = new Map<string, { type: string; value: string }>();
  readonly #fragments: string[] = [];

  constructor(schema: GraphQLSchema, bytes: Uint8Array) {
    this.#schema = schema;
    this.#choices = new Choices(bytes);
  }

  request(): { query: string; variables: string } {
    const kind = this.#choices.of(["query", "mutation"] as const);
    const root = this.#schema.getRootType(kind as never) as GraphQLObjectType;
    const selection = this.#selection(root, 5);
    const variables = [...this.#variables];
    const defined = variables.map(([name, { type }]) => `$${name}: ${type}`).join(" ");
    const name = this.#choices.of(["", "Q", "constructor"]);
    const query = `${kind} ${name} ${defined && `(${defined})`} ${this.#directive()} ${selection}
      ${this.#fragments.join("\n")}`;
    const values = variables.map(([name, { value }]) => `"${name}":${value}`);
    return { query, variables: `{${values}}` };
  }

  #selection(type: GraphQLObjectType, depth: number): string {
    const fields = Object.values(type.getFields());
    const count = 1 + this.#choices.below(4);
    const pieces = Array.from({ length: count }, () => this.#piece(type, fields, depth));
    return `{ ${pieces.join(" ")} }`;
  }

  #piece(type: GraphQLObjectType, fields: GraphQLField<unknown, unknown>[], depth: number): string {
    if (this.#choices.rarely(100))
      return this.#choices.of(["nothing", "__schema { types { name } }"]);
    if (this.#choices.rarely(12)) return "__typename";
    if (depth > 0 && this.#choices.rarely(12)) {
      return `... on ${type.name} ${this.#directive()} ${this.#selection(type, depth - 1)}`;
    }
    if (depth > 0 && this.#choices.rarely(12)) {
      const name = this.#choices.rarely(4) ? "F0" : `F${this.#fragments.length}`;
      const body = this.#selection(type, depth - 1);
      this.#fragments.push(`fragment F${this.#fragments.length} on ${type.name} ${body}`);
      return `...${name}`;
    }
    return this.#field(this.#choices.of(fields), depth);
  }

  #field({ name, type, args }: GraphQLField<unknown, unknown>, depth: number): string {
    const alias = this.#choices.rarely(5) ? `a${this.#choices.below(9)}: ` : "";
    const given = args
      .filter((argument) => this.#isGiven(argument))
      .map((one) => this.#argument(one));
    const below = getNamedType(type);
    const selection = isObjectType(below) && !this.#choices.rarely(100);
    return [
      `${alias}${name}`,
      given.length > 0 ? `(${given.join(" ")})` : "",
      this.#directive(),
      selection ? this.#selection(below, Math.max(0, depth - 1)) : "",
    ].join(" ");
  }

  #isGiven({ type }: GraphQLArgument): boolean {
    return type === getNullableType(type)
      ? this.#choices.below(2) === 1
      : !this.#choices.rarely(100);
  }

  #argument({ name, type }: GraphQLArgument): string {
    if (this.#choices.below(2) === 0) return `${name}: ${this.#literal(type)}`;
    const variable = `v${this.#variables.size}`;
    const named = this.#choices.rarely(60)
      ? this.#choices.of(["Int", "[Order!]", "Nothing"])
      : type;
    this.#variables.set(variable, { type: String(named), value: this.#literal(type, true) });
    return `${name}: $${variable}`;
  }

  #literal(type: GraphQLInputType, isJson = false): string {
    const bare = getNullableType(type);
    if (this.#choices.rarely(40)) return this.#choices.of(["null", "[]", "{}", "true", "1e400"]);
    if (isListType(bare)) {
      const items = Array.from({ length: this.#choices.below(3) }, () =>
        this.#literal(bare.ofType, isJson),
      );
      return `[${items}]`;
    }
    if (isInputObjectType(bare)) {
      const fields = Object.values(bare.getFields()).filter((field) =>
        this.#isGiven(field as never),
      );
      const written = fields.map(
        (field) =>
          `${isJson ? `"${field.name}"` : field.name}: ${this.#literal(field.type, isJson)}`,
      );
      return `{${written}}`;
    }
    if (isEnumType(bare)) return this.#choices.of(bare.getValues()).name;
    if (String(bare) !== "String") return this.#choices.of(NUMBERS);
    return JSON.stringify(this.#choices.of(STRANGE));
  }

  #directive(): string {
    if (!this.#choices.rarely(40)) return "";
    return this.#choices.of([
      "@skip(if: false)",
      "@include(if: true)",
      "@skip",
      "@nothing",
      "@skip(if: $no)",
    ]);
  }
}

/** A POST's body, or a GET's query string. */
export type Sent = { body: string | Uint8Array } | { search: string };

/** Longer ones are refused as headers, whatever they say. */
const SEARCH_MAX = 6_000;

/** Requests; `honest` are documents to tear. */
export function requests(schema: GraphQLSchema, honest: readonly string[]): fc.Arbitrary<Sent> {
  const written = fc
    .uint8Array({ minLength: 10, maxLength: 200 })
    .map((bytes) => new Writer(schema, bytes).request());
  const object = json.filter((value) => value.startsWith("{"));
  const asked = fc.oneof(
    { weight: 8, arbitrary: written },
    { weight: 3, arbitrary: fc.record({ query: torn(honest), variables: object }) },
    {
      weight: 5,
      arbitrary: fc.tuple(fc.constantFrom(...honest), json, json).map(([query, id, input]) => ({
        query,
        variables: `{"id":${id},"input":${input},"s":${id}}`,
      })),
    },
    { weight: 1, arbitrary: fc.record({ query: text, variables: json }) },
  );
  const body = asked.map(
    ({ query, variables }) => `{"query":${JSON.stringify(query)},"variables":${variables}}`,
  );
  const search = asked
    .map(({ query, variables }) => String(new URLSearchParams({ query, variables })))
    .filter(({ length }) => length < SEARCH_MAX);
  const fields = ["query", "variables", "operationName", "documentId", "extensions"] as const;
  const envelope = fc
    .array(fc.tuple(fc.constantFrom(...fields), json), { minLength: 1, maxLength: 4 })
    .map((pairs) => `{${pairs.map(([field, value]) => `"${field}":${value}`)}}`);
  const list = fc.array(body, { maxLength: 6 }).map((bodies) => `[${bodies}]`);
  return fc.oneof(
    { weight: 14, arbitrary: fc.record({ body }) },
    { weight: 2, arbitrary: fc.record({ search }) },
    { weight: 1, arbitrary: fc.record({ body: list }) },
    { weight: 1, arbitrary: fc.record({ body: fc.oneof(json, envelope) }) },
    { weight: 1, arbitrary: fc.record({ body: fc.uint8Array({ maxLength: 300 }) }) },
  );
}

function torn(honest: readonly string[]): fc.Arbitrary<string> {
  const put = fc.oneof(text, fc.constantFrom(...'{}()[]$@!:.|&#"\\'));
  const tear = fc.tuple(fc.nat(), fc.nat({ max: 12 }), put);
  return fc
    .tuple(fc.constantFrom(...honest), fc.array(tear, { minLength: 1, maxLength: 3 }))
    .map(([whole, tears]) =>
      tears.reduce((rest, [at, cut, piece]) => {
        const from = at % (rest.length + 1);
        return `${rest.slice(0, from)}${piece}${rest.slice(from + cut)}`;
      }, whole),
    );
}
