/** The documents that the gateway runs: each judged once, or one of a list that was agreed on. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { type Kept, makeRoom, setBounded } from "@piata/kit/bounded-map";
import { ConfigError } from "@piata/kit/config";
import { type Failure, invalidArgument } from "@piata/kit/errors";
import { GraphQLError, type GraphQLSchema, specifiedRules, validate } from "graphql";
import { checkVariables, type DocumentRules, judge, type Operation, tooLarge } from "./document.js";
import { Executable } from "./executable.js";

/** Documents that are kept: of those that may be run so many, and as many others. */
const DOCUMENTS_MAX = 100;
/** Faults of a document that are told at once. */
export const FAULTS_MAX = 10;

/** What of a request says which document to run. */
export interface Asked {
  query: string | undefined;
  /** The SHA-256 of a trusted document's text, in hex. */
  sha256: string | undefined;
  operationName: string | undefined;
  variables: Record<string, unknown>;
}

/** The operation that a request asks for, and what runs it. */
export interface Found extends Operation {
  executable: Executable;
}

/** What is wrong with a document, by the schema. */
export class DocumentFaults extends Error {
  readonly errors: readonly GraphQLError[];

  constructor(errors: readonly GraphQLError[]) {
    super("The document is not valid.");
    this.errors = errors;
  }
}

interface Known extends Kept {
  operations: Operation[];
  executable: Executable;
}

/** Texts by their SHA-256 in hex. */
export type TrustedDocuments = ReadonlyMap<string, string>;

export interface DocumentsOptions extends DocumentRules {
  /** When it is there, only these run. */
  trusted?: TrustedDocuments | undefined;
}

/** What may be run, and what is known of it. */
export class Documents {
  readonly #options: DocumentsOptions;
  /** By their texts. */
  readonly #known = new Map<string, Known>();
  /** Apart, so that what is wrong never pushes out what is right. */
  readonly #faulty = new Map<string, DocumentFaults>();
  readonly #trustedTexts: ReadonlySet<string> | undefined;
  /** How many are kept: all of those that were agreed on, or the last ones. */
  readonly #max: number;

  constructor(options: DocumentsOptions) {
    this.#options = options;
    const { trusted } = options;
    this.#trustedTexts = trusted && new Set(trusted.values());
    this.#max = Math.max(DOCUMENTS_MAX, trusted?.size ?? 0);
  }

  get schema(): GraphQLSchema {
    return this.#options.schema;
  }

  /** Whether the schema is shown, and so what is wrong in a document may be hinted at. */
  get introspection(): boolean {
    return this.#options.introspection;
  }

  /**
   * The operation that a request asks for. Throws INVALID_ARGUMENT / DOCUMENT_UNKNOWN and what
   * `judge` throws; DocumentFaults; a GraphQLError when the document has no such operation.
   */
  find({ query, sha256, operationName, variables }: Asked): Found {
    checkVariables(variables, this.#options.limits);
    const text = this.#text(query, sha256);
    const { operations, executable } = this.#document(text);
    if (operationName === undefined && operations.length !== 1) {
      throw new GraphQLError("Must provide operation name if query contains multiple operations.");
    }
    const found = operations.find(({ name }) => (operationName ?? name) === name);
    if (!found) throw new GraphQLError(`Unknown operation named "${operationName}".`);
    return { ...found, executable };
  }

  /** Throws INVALID_ARGUMENT / DOCUMENT_TOO_LARGE when several operations cost too much together. */
  checkCost(cost: number): void {
    const { complexity } = this.#options.limits;
    if (cost > complexity) throw tooLarge("complexity", complexity);
  }

  #text(query: string | undefined, sha256: string | undefined): string {
    if (query === undefined) {
      const text = this.#options.trusted?.get(sha256 as string);
      if (text === undefined) throw unknownDocument(sha256 as string);
      return text;
    }
    if (this.#trustedTexts?.has(query) === false) throw unknownDocument(sha256Of(query));
    return query;
  }

  #document(text: string): Known {
    const known = this.#known.get(text);
    if (known) {
      known.wanted = true;
      return known;
    }
    const document = this.#meet(text);
    if (this.#known.size >= this.#max) makeRoom(this.#known);
    this.#known.set(text, document);
    return document;
  }

  #meet(text: string): Known {
    const known = this.#faulty.get(text);
    if (known) throw known;
    const { schema } = this.#options;
    const { document, operations } = judge(text, this.#options);
    const errors = validate(schema, document, specifiedRules, { maxErrors: FAULTS_MAX });
    if (errors.length === 0) {
      return { operations, executable: new Executable(schema, document), wanted: false };
    }
    const faults = new DocumentFaults(errors);
    setBounded(this.#faulty, [text, faults], this.#max);
    throw faults;
  }
}

const sha256Of = (text: string): string => createHash("sha256").update(text).digest("hex");

const unknownDocument = (sha256: string): Failure =>
  invalidArgument("DOCUMENT_UNKNOWN", `The document ${sha256} is not one that runs here.`, {
    sha256,
  });

/** `{ "<SHA-256 in hex>": "<document>" }`. Throws ConfigError with every fault there is. */
export async function readTrustedDocuments(
  file: string,
  rules: DocumentRules,
): Promise<TrustedDocuments> {
  const name = "GATEWAY_TRUSTED_DOCUMENTS_FILE";
  let content: unknown;
  try {
    content = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    throw new ConfigError(`${name}: ${(error as Error).message}`);
  }
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    throw new ConfigError(`${name}: must be one JSON object of documents by their SHA-256`);
  }
  const faults: string[] = [];
  const documents = new Map<string, string>();
  for (const [sha256, text] of Object.entries(content)) {
    faults.push(...faultsOf(sha256, text, rules).map((fault) => `${sha256}: ${fault}`));
    documents.set(sha256, text);
  }
  if (faults.length > 0) throw new ConfigError(`${name}:\n  ${faults.join("\n  ")}`);
  return documents;
}

function faultsOf(sha256: string, text: unknown, rules: DocumentRules): string[] {
  if (typeof text !== "string") return ["is no text"];
  const faults = sha256Of(text) === sha256 ? [] : [`is not its SHA-256, ${sha256Of(text)}`];
  try {
    const { document } = judge(text, rules);
    faults.push(...validate(rules.schema, document).map(({ message }) => message));
  } catch (error) {
    faults.push((error as Error).message);
  }
  return faults;
}
