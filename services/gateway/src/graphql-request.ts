/** What a GraphQL request over HTTP may look like, before it is looked at as GraphQL. */
import { invalidArgument } from "@piata/kit/errors";
import type { FastifyRequest } from "fastify";
import { GraphQLError, getOperationAST, parse } from "graphql";

/** The most tokens of a document: several times what GraphiQL's introspection needs. */
export const TOKENS_MAX = 1_000;

export interface GraphqlRequest {
  query: string;
  variables: Record<string, unknown>;
  /** Undefined when the document has only one operation to choose. */
  operationName: string | undefined;
}

const NAME = /^[_A-Za-z][_0-9A-Za-z]{0,99}$/;

/** Throws INVALID_ARGUMENT / REQUEST_INVALID, MUTATION_BY_GET; GraphQLErrors of the document. */
export function graphqlRequest(request: FastifyRequest): GraphqlRequest {
  // Not "is it GET": Fastify answers HEAD by the same route.
  if (request.method === "POST") return checked(request.body);
  const asked = checked(fromQueryString(request.query as Record<string, unknown>));
  refuseMutation(asked);
  return asked;
}

function checked(body: unknown): GraphqlRequest {
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw requestInvalid();
  const { query, variables, operationName } = body as Record<string, unknown>;
  if (typeof query !== "string") throw requestInvalid("query");
  if (typeof (variables ?? {}) !== "object" || Array.isArray(variables)) {
    throw requestInvalid("variables");
  }
  // Some clients send an empty name for none.
  const name = operationName || undefined;
  if (name !== undefined && !(typeof name === "string" && NAME.test(name))) {
    throw requestInvalid("operationName");
  }
  return {
    query,
    variables: (variables ?? {}) as Record<string, unknown>,
    operationName: name,
  };
}

function fromQueryString({ query, variables, operationName }: Record<string, unknown>) {
  try {
    return { query, operationName, variables: variables ? JSON.parse(String(variables)) : null };
  } catch {
    throw requestInvalid("variables");
  }
}

// A link or an image must not be able to change anything.
function refuseMutation({ query, operationName }: GraphqlRequest): void {
  const document = parse(query, { maxTokens: TOKENS_MAX });
  const operation = getOperationAST(document, operationName);
  if (!operation) {
    throw new GraphQLError(
      operationName === undefined
        ? "Must provide operation name if query contains multiple operations."
        : `Unknown operation named "${operationName}".`,
    );
  }
  if (operation.operation !== "query") {
    throw invalidArgument("MUTATION_BY_GET", "Mutations need a POST of application/json.");
  }
}

/**
 * The document as Mercurius is given it. The comment at its end keeps two things from happening.
 * Mercurius caches what it compiled by the text alone, and would run the operation that was
 * compiled first, whatever the request names: a mutation in place of a query, by GET. And it takes
 * a text that is JSON for a syntax tree that nobody has checked, and compiles that.
 */
export const sourceOf = ({ query, operationName = "" }: GraphqlRequest): string =>
  `${query}\n#${operationName}`;

const requestInvalid = (field?: string) =>
  invalidArgument(
    "REQUEST_INVALID",
    `${field ? `${field} is not right: send` : "Send"} one JSON object: ` +
      '{ "query": "…", "variables": { … }, "operationName": "…" }.',
    field ? { field } : {},
  );
