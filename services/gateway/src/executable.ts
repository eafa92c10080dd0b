/** Running a document that is valid: by the interpreter at first, and compiled from then on. */
import { type DocumentNode, type ExecutionResult, execute, type GraphQLSchema } from "graphql";
import { type CompiledQuery, compileQuery, isCompiledQuery } from "graphql-jit";

/**
 * The operations of one document that are compiled; others are interpreted. A compiled operation
 * weighs up to a hundred times its text, and a document may have as many as it has room for.
 */
const COMPILED_MAX = 4;

export interface Run {
  /** Undefined when the document has only one operation. */
  operationName: string | undefined;
  variables: Record<string, unknown>;
}

/** A valid document whose operations can be run. */
export class Executable {
  readonly #schema: GraphQLSchema;
  readonly #document: DocumentNode;
  /** By the operation's name; undefined once it was run and is not compiled yet. */
  readonly #operations = new Map<string | undefined, CompiledQuery | undefined>();

  constructor(schema: GraphQLSchema, document: DocumentNode) {
    this.#schema = schema;
    this.#document = document;
  }

  /** Resolves to the answer; without data when the variables are not those that are declared. */
  async run({ operationName, variables }: Run, contextValue: unknown): Promise<ExecutionResult> {
    const compiled = this.#compiled(operationName);
    if (compiled) {
      const answer = await compiled.query({}, contextValue, variables);
      // Without data the variables are at fault, which the interpreter says better.
      if (answer.data !== undefined) return answer;
    }
    const [schema, document] = [this.#schema, this.#document];
    return execute({
      schema,
      document,
      contextValue,
      variableValues: variables,
      operationName: operationName ?? null,
    });
  }

  // Not at its first run: many a document comes once.
  #compiled(operationName: string | undefined): CompiledQuery | undefined {
    const known = this.#operations.get(operationName);
    if (known) return known;
    if (!this.#operations.has(operationName)) {
      if (this.#operations.size < COMPILED_MAX) this.#operations.set(operationName, undefined);
      return undefined;
    }
    const compiled = compileQuery(this.#schema, this.#document, operationName);
    if (!isCompiledQuery(compiled)) return undefined;
    this.#operations.set(operationName, compiled);
    return compiled;
  }
}
