/** The HTTP side: /graphql by POST of application/json, queries by GET too, and nothing a form could send. */
import cookie from "@fastify/cookie";
import files from "@fastify/static";
import type { Failure } from "@piata/kit/errors";
import { invalidArgument } from "@piata/kit/errors";
import type { Log } from "@piata/kit/log";
import type { Metrics } from "@piata/kit/metrics";
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from "fastify";
import { type ExecutionResult, GraphQLError, getOperationAST, parse } from "graphql";
import mercurius, { type IResolvers } from "mercurius";
import { errorAnswer, failureOf } from "./errors.js";
import { GraphqlContext } from "./request.js";
import type { Sessions } from "./sessions.js";

export interface ServerOptions {
  schema: string;
  resolvers: IResolvers[];
  sessions: Sessions;
  log: Log;
  metrics: Metrics;
  timeoutMs: number;
  bodyBytesMax: number;
  graphiql: boolean;
  imagesDir: string | undefined;
}

interface GraphqlRequest {
  query: string;
  variables?: Record<string, unknown> | null;
  operationName?: string | null;
}

export async function createServer(options: ServerOptions): Promise<FastifyInstance> {
  const { schema, resolvers, bodyBytesMax, imagesDir, graphiql } = options;
  const app = fastify({ bodyLimit: bodyBytesMax, forceCloseConnections: "idle" });
  app.removeContentTypeParser("text/plain");
  await app.register(cookie);
  await app.register(mercurius, {
    schema,
    resolvers: mergeByType(resolvers),
    routes: false,
    jit: 1,
    // Errors are answered below, with the Failure that is behind them.
    errorFormatter: (execution) => ({ statusCode: 200, response: execution as never }),
  });
  if (imagesDir) {
    await app.register(files, { root: imagesDir, prefix: "/images/", maxAge: 3_600_000 });
  }

  app.post("/graphql", async (request, reply) => {
    const context = new GraphqlContext(request, reply, options);
    return answer(app, options, context, request.body);
  });

  app.get("/graphql", async (request, reply) => {
    if (graphiql && request.headers.accept?.includes("text/html")) return page(reply);
    const context = new GraphqlContext(request, reply, options);
    const asked = fromQueryString(request.query as Record<string, string | undefined>);
    return answer(app, options, context, asked);
  });

  app.get("/", (_, reply) => reply.redirect("/graphql"));
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const context = new GraphqlContext(request, reply, options);
    return refuse(context, httpFailure(error, options, context), error.statusCode ?? 500);
  });
  app.setNotFoundHandler((request, reply) => {
    const context = new GraphqlContext(request, reply, options);
    const failure = invalidArgument("PATH_UNKNOWN", "There is nothing here; the API is /graphql.");
    return refuse(context, failure, 404);
  });
  return app;
}

async function answer(
  app: FastifyInstance,
  options: ServerOptions,
  context: GraphqlContext,
  body: unknown,
): Promise<unknown> {
  const { log, metrics } = options;
  const { reply } = context;
  const { traceId } = context.anyone;
  const start = performance.now();
  reply.header("x-trace-id", traceId).header("cache-control", "no-store");
  let operation = "";
  let failures: Failure[] = [];
  let result: unknown;
  try {
    const { query, variables, operationName } = checkedRequest(body);
    if (context.request.method === "GET") refuseMutation(query, operationName);
    operation = operationName ?? "";
    const executed: ExecutionResult = await app.graphql(
      query,
      context as never,
      variables ?? {},
      operationName ?? undefined,
    );
    failures = (executed.errors ?? []).map((error) => failureOf(error, log, traceId));
    const errors = failures.map((failure, index) =>
      errorAnswer(failure, traceId, executed.errors?.[index]),
    );
    result = errors.length > 0 ? { data: executed.data, errors } : { data: executed.data };
  } catch (error) {
    // The document itself is at fault: nothing was executed.
    const errors = documentErrors(error);
    failures = errors.map((one) => failureOf(one, log, traceId));
    reply.code(failures[0]?.reason === "MUTATION_BY_GET" ? 405 : statusOf(failures[0]));
    result = { errors: failures.map((failure, at) => errorAnswer(failure, traceId, errors[at])) };
  }
  const [first] = failures;
  const code = first?.code ?? "OK";
  metrics.answer("graphql", code, start);
  const durationMs = Math.round((performance.now() - start) * 100) / 100;
  log.info({ operation, code, reason: first?.reason, durationMs, traceId }, "request");
  return result;
}

function checkedRequest(body: unknown): GraphqlRequest {
  const { query, variables, operationName } = (body ?? {}) as Partial<GraphqlRequest>;
  const isObject = typeof body === "object" && body !== null && !Array.isArray(body);
  const variablesFit =
    variables == null || (typeof variables === "object" && !Array.isArray(variables));
  const nameFits = operationName == null || typeof operationName === "string";
  if (!isObject || typeof query !== "string" || !variablesFit || !nameFits) {
    throw invalidArgument(
      "REQUEST_INVALID",
      'Send one JSON object: { "query": "…", "variables": { … }, "operationName": "…" }.',
    );
  }
  return { query, variables: variables ?? null, operationName: operationName ?? null };
}

function fromQueryString({ query, variables, operationName }: Record<string, string | undefined>) {
  try {
    return { query, operationName, variables: variables ? JSON.parse(variables) : undefined };
  } catch {
    throw invalidArgument("REQUEST_INVALID", "variables must be a JSON object.");
  }
}

// A link or an image must not be able to change anything.
function refuseMutation(query: string, operationName: string | null | undefined): void {
  const operation = getOperationAST(parse(query), operationName);
  if (operation && operation.operation !== "query") {
    throw invalidArgument("MUTATION_BY_GET", "Mutations need a POST of application/json.");
  }
}

function documentErrors(error: unknown): readonly unknown[] {
  const { errors } = error as { errors?: readonly unknown[] };
  if (errors && errors.length > 0) return errors;
  // Mercurius throws errors of its own for documents that it does not take.
  const { code, message } = error as { code?: string; message: string };
  return code?.startsWith("MER_") ? [new GraphQLError(message)] : [error];
}

const statusOf = (failure: Failure | undefined): number =>
  failure?.code === "INVALID_ARGUMENT" ? 400 : 500;

function httpFailure(
  error: FastifyError,
  { log }: ServerOptions,
  context: GraphqlContext,
): Failure {
  switch (error.statusCode) {
    case 413:
      return invalidArgument("BODY_TOO_LARGE", "The body is larger than the gateway takes.");
    case 415:
      return invalidArgument("CONTENT_TYPE_INVALID", "Send application/json.");
    case 400:
      return invalidArgument("REQUEST_INVALID", "The body is not well-formed JSON.");
    default:
      return failureOf(error, log, context.anyone.traceId);
  }
}

function refuse(context: GraphqlContext, failure: Failure, status: number): FastifyReply {
  const { traceId } = context.anyone;
  return context.reply.code(status).send({ errors: [errorAnswer(failure, traceId)] });
}

// GraphiQL is large and for development: it is loaded by the first browser that asks.
async function page(reply: FastifyReply): Promise<string> {
  const { renderGraphiQL } = await import("@graphql-yoga/render-graphiql");
  reply.type("text/html; charset=utf-8");
  return renderGraphiQL({ endpoint: "/graphql", title: "piata" });
}

/** Every part brings its own fields of Query and Mutation. */
function mergeByType(resolvers: IResolvers[]): IResolvers {
  const merged: Record<string, object> = {};
  for (const part of resolvers) {
    for (const [type, fields] of Object.entries(part)) {
      merged[type] = { ...merged[type], ...(fields as object) };
    }
  }
  return merged as IResolvers;
}
