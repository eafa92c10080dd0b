/** What a GraphQL request over HTTP may look like, before it is looked at as GraphQL. */
import { invalidArgument } from "@piata/kit/errors";
import type { FastifyRequest } from "fastify";
import type { Documents } from "./documents.js";
import type { Executable, Run } from "./executable.js";

export interface GraphqlRequest extends Run {
  executable: Executable;
  /** At most, as documents are measured. */
  cost: number;
}

/** One operation; throws what is wrong with it. */
export type Ask = () => GraphqlRequest;

const NAME = /^[_A-Za-z][_0-9A-Za-z]{0,99}$/;
const SHA256 = /^[0-9a-f]{64}$/;

/**
 * What a request asks for: one operation, or the list of them that it is. Asking throws
 * INVALID_ARGUMENT / REQUEST_INVALID, MUTATION_BY_GET, BATCH_TOO_LARGE and what Documents.find
 * throws: GraphQLErrors of the document among them.
 */
export function graphqlRequest(
  request: FastifyRequest,
  documents: Documents,
  batchMax: number,
): Ask | Ask[] {
  const { method, body, query } = request;
  // Not "is it GET": Fastify answers HEAD by the same route.
  if (method !== "POST") return () => byUrl(query as Record<string, unknown>, documents);
  if (!Array.isArray(body)) return () => read(body, documents);
  try {
    return batch(body, documents, batchMax);
  } catch (error) {
    return thrower(error);
  }
}

// A link or an image must not be able to change anything.
function byUrl(query: Record<string, unknown>, documents: Documents): GraphqlRequest {
  const { kind, ...asked } = read(fromQueryString(query), documents);
  if (kind === "query") return asked;
  throw invalidArgument("MUTATION_BY_GET", "Mutations need a POST of application/json.");
}

function batch(operations: unknown[], documents: Documents, max: number): Ask[] {
  if (max === 1 || operations.length > max) {
    const most = max === 1 ? "one operation, and no list," : `at most ${max} operations`;
    throw invalidArgument("BATCH_TOO_LARGE", `Send ${most} in a request.`, { max: String(max) });
  }
  if (operations.length === 0) throw requestInvalid();
  let cost = 0;
  const asks = operations.map((operation): Ask => {
    try {
      const asked = read(operation, documents);
      cost += asked.cost;
      return () => asked;
    } catch (error) {
      return thrower(error);
    }
  });
  documents.checkCost(cost);
  return asks;
}

const thrower = (error: unknown) => () => {
  throw error;
};

function read(body: unknown, documents: Documents) {
  const asked = checked(body);
  const { executable, kind, cost } = documents.find(asked);
  const { variables, operationName } = asked;
  return { executable, kind, cost, variables, operationName };
}

function checked(body: unknown) {
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw requestInvalid();
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
    const isText = typeof documentId === "string";
    return checkedHash("documentId", isText && documentId.replace(/^sha256:/, ""));
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

const requestInvalid = (field?: string) =>
  invalidArgument(
    "REQUEST_INVALID",
    `${field ? `${field} is not right: send` : "Send"} one JSON object: ` +
      '{ "query": "…", "variables": { … }, "operationName": "…" }.',
    field ? { field } : {},
  );
