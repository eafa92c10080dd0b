/** What a GraphQL request over HTTP may look like, before it is looked at as GraphQL. */
import { invalidArgument } from "@piata/kit/errors";
import type { FastifyRequest } from "fastify";
import type { Documents } from "./documents.js";

export interface GraphqlRequest {
  query: string;
  variables: Record<string, unknown>;
  /** Undefined when the document has only one operation to choose. */
  operationName: string | undefined;
}

const NAME = /^[_A-Za-z][_0-9A-Za-z]{0,99}$/;
const SHA256 = /^[0-9a-f]{64}$/;

/**
 * Throws INVALID_ARGUMENT / REQUEST_INVALID, MUTATION_BY_GET and what Documents.find throws:
 * GraphQLErrors of the document among them.
 */
export function graphqlRequest(request: FastifyRequest, documents: Documents): GraphqlRequest {
  // Not "is it GET": Fastify answers HEAD by the same route.
  const isPost = request.method === "POST";
  const { query, sha256, variables, operationName } = checked(
    isPost ? request.body : fromQueryString(request.query as Record<string, unknown>),
  );
  const found = documents.find({ query, sha256, operationName });
  // A link or an image must not be able to change anything.
  if (!isPost && found.kind !== "query") {
    throw invalidArgument("MUTATION_BY_GET", "Mutations need a POST of application/json.");
  }
  return { query: found.query, variables, operationName };
}

function checked(body: unknown) {
  if (Array.isArray(body)) {
    throw invalidArgument(
      "BATCH_REFUSED",
      "Send one operation in a request, and several requests on one connection.",
    );
  }
  if (typeof body !== "object" || body === null) throw requestInvalid();
  const { query: text, variables, operationName, ...rest } = body as Record<string, unknown>;
  const query = text ?? undefined;
  if (query !== undefined && typeof query !== "string") throw requestInvalid("query");
  const sha256 = query === undefined ? trustedHash(rest) : undefined;
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
    sha256,
    variables: (variables ?? {}) as Record<string, unknown>,
    operationName: name,
  };
}

/** As GraphQL over HTTP proposes it, or as Apollo's clients send it. */
function trustedHash({ documentId, extensions }: Record<string, unknown>): string {
  if (documentId !== undefined) {
    return checkedHash("documentId", String(documentId).replace(/^sha256:/, ""));
  }
  const { persistedQuery } = (extensions ?? {}) as { persistedQuery?: { sha256Hash?: unknown } };
  if (!persistedQuery) throw requestInvalid("query");
  return checkedHash("extensions", persistedQuery.sha256Hash);
}

function checkedHash(field: string, hash: unknown): string {
  if (typeof hash !== "string" || !SHA256.test(hash)) throw requestInvalid(field);
  return hash;
}

function fromQueryString({ variables, extensions, ...rest }: Record<string, unknown>) {
  const json = (field: string, text: unknown) => {
    try {
      return text ? JSON.parse(String(text)) : null;
    } catch {
      throw requestInvalid(field);
    }
  };
  return {
    ...rest,
    variables: json("variables", variables),
    extensions: json("extensions", extensions),
  };
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
