/**
 * The HTTP side: /graphql by POST of application/json, queries by GET too, and nothing a form could
 * send.
 */
import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type RequestListener,
} from "node:http";
import files from "@fastify/static";
import { readConfig } from "@piata/kit/config";
import { type Failure, invalidArgument } from "@piata/kit/errors";
import type { Log } from "@piata/kit/log";
import type { Metrics } from "@piata/kit/metrics";
import fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from "fastify";
import type { ExecutionResult, GraphQLError } from "graphql";
import { Admission, waitOf } from "./admission.js";
import { edgeSettings } from "./config.js";
import { DocumentFaults, type Documents, FAULTS_MAX } from "./documents.js";
import { Edge, type EdgeOptions } from "./edge.js";
import { bodyTooLarge, errorAnswer, failureOf } from "./errors.js";
import { graphiql as graphiqlPage } from "./graphiql.js";
import { GraphqlContext } from "./graphql-context.js";
import { type Ask, graphqlRequest } from "./graphql-request.js";
import { noting, Operations, operationsOf } from "./operations.js";
import { RequestLog } from "./request-log.js";
import { attach, type Resolvers } from "./resolvers.js";
import type { Sessions } from "./sessions.js";

/** How long a client may take to send its request. */
const REQUEST_MS = 10_000;
/** How often Node looks for those who take longer. */
const REQUEST_CHECK_MS = 1_000;
/** How long a connection may stand still while it is sent an answer, or sends nothing at all. */
const STANDSTILL_MS = 15_000;
/** How long an idle connection is kept: longer than usual proxies keep theirs. */
const KEEP_ALIVE_MS = 72_000;

export interface GatewayOptions {
  documents: Documents;
  /** Operations in one request; 1 takes no lists. */
  batchMax: number;
  resolvers: readonly Resolvers[];
  sessions: Sessions;
  log: Log;
  metrics: Metrics;
  timeoutMs: number;
  /** Requests at once. */
  requestsMax: number;
  bodyBytesMax: number;
  graphiql: boolean;
  imagesDir: string | undefined;
  /** Lines that the log has of requests that went well, in a second. */
  linesPerSecond: number;
  /** The settings' defaults when it is left out. */
  edge?: EdgeOptions;
}

interface ServerOptions extends Omit<GatewayOptions, "edge"> {
  operations: Operations;
  requestLog: RequestLog;
  edge: Edge;
}

/** The gateway's HTTP server, not listening yet. */
export async function createServer(given: GatewayOptions): Promise<FastifyInstance> {
  const { edge: edgeOptions = readConfig(edgeSettings, {}) } = given;
  const edge = new Edge(edgeOptions, given);
  const operations = new Operations(given.metrics);
  const options = { ...given, operations, requestLog: new RequestLog(given), edge };
  const { documents, resolvers, bodyBytesMax, imagesDir, graphiql } = options;
  const refuseHttp = (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
    // A URL that cannot be has had no hooks.
    reply.headers(edge.arrivalOf(request.raw).headers);
    const context = new GraphqlContext(request, reply, options);
    const failure = httpFailure(error, options, context);
    return refuse(options, context, { failure, status: error.statusCode ?? 500 });
  };
  const admission = new Admission(options);
  const app = fastify({
    frameworkErrors: refuseHttp,
    clientErrorHandler: (error, socket) => edge.refuseUnparsed(error, socket),
    bodyLimit: bodyBytesMax,
    forceCloseConnections: "idle",
    serverFactory: (listener) =>
      httpServer(edge.guard(admission.guard(listener)), edgeOptions.headerBytesMax),
  });
  app.addHook("onRequest", (request, reply, done) => {
    reply.headers(edge.arrivalOf(request.raw).headers);
    done();
  });
  app.removeContentTypeParser("text/plain");
  for (const part of resolvers) attach(documents.schema, noting(part));
  if (imagesDir) {
    await app.register(files, { root: imagesDir, prefix: "/images/", maxAge: 3_600_000 });
  }

  const ask = async (request: FastifyRequest, reply: FastifyReply) => {
    const context = new GraphqlContext(request, reply, options);
    const asked = graphqlRequest(request, documents, options.batchMax);
    if (!Array.isArray(asked)) return answer(options, context, asked);
    // As if each had been sent by itself, but they are one trace, and no status says it all.
    const { traceId } = context.anyone;
    const another = () => new GraphqlContext(request, reply, { ...options, traceId });
    const answers = asked.map((one, index) =>
      answer(options, index === 0 ? context : another(), one),
    );
    const list = await Promise.all(answers);
    reply.code(200).removeHeader("retry-after");
    return list;
  };
  const page = graphiqlPage();
  app.post("/graphql", ask);
  app.get("/graphql", (request, reply) =>
    graphiql && request.headers.accept?.includes("text/html")
      ? page(request, reply)
      : ask(request, reply),
  );
  app.get("/", (_, reply) => reply.redirect("/graphql"));
  app.setErrorHandler<FastifyError>(refuseHttp);
  app.setNotFoundHandler((request, reply) => {
    const context = new GraphqlContext(request, reply, options);
    const failure = invalidArgument("PATH_UNKNOWN", "There is nothing here; the API is /graphql.");
    return refuse(options, context, { failure, status: 404 });
  });
  return app;
}

function httpServer(listener: RequestListener, headerBytesMax: number): HttpServer {
  const options = {
    requestTimeout: REQUEST_MS,
    headersTimeout: REQUEST_MS,
    connectionsCheckingInterval: REQUEST_CHECK_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: headerBytesMax,
    // The edge refuses a request without one, as an answer.
    requireHostHeader: false,
  };
  // Whatever a client expects beyond 100-continue, it gets an answer.
  const server = createHttpServer(options, listener).on("checkExpectation", listener);
  return server.setTimeout(STANDSTILL_MS);
}

async function answer(options: ServerOptions, context: GraphqlContext, ask: Ask): Promise<unknown> {
  const { log, documents } = options;
  const { reply } = context;
  const { traceId } = context.anyone;
  const startMs = performance.now();
  let operationName = "";
  let executed: ExecutionResult;
  try {
    const asked = ask();
    operationName = asked.operationName ?? "";
    executed = await asked.executable.run(asked, context);
  } catch (error) {
    executed = { errors: documentErrors(error) as GraphQLError[] };
  }
  const { data, errors: found } = executed;
  if (found === undefined) {
    options.operations.answer(context, undefined, startMs);
    record(options, context, { failure: undefined, operationName, startMs });
    return { data };
  }
  // Where nothing was executed there is no limit to what can be wrong.
  const errors = data === undefined ? found.slice(0, FAULTS_MAX) : found;
  const failures = errors.map((error) =>
    failureOf(error, { log, traceId, hints: documents.introspection }),
  );
  // The document or its variables are at fault, and nothing was executed.
  if (data === undefined) reply.code(statusOf(failures[0]));
  const codes = new Map(
    errors.map(({ path }, at) => [path?.[0], (failures[at] as Failure).code] as const).reverse(),
  );
  options.operations.answer(context, codes, startMs);
  const wait = mayRepeat(context) ? waitOf(failures) : undefined;
  if (wait) {
    reply.header("retry-after", String(wait.retryAfterSeconds));
    if (data == null) reply.code(wait.status);
  }
  record(options, context, { failure: failures[0], operationName, startMs });
  const answers = failures.map((failure, at) => errorAnswer(failure, traceId, errors[at]));
  return data === undefined ? { errors: answers } : { data, errors: answers };
}

// An earlier field of a mutation may have been done: nobody is asked to repeat all of it then.
const mayRepeat = ({ asked }: GraphqlContext): boolean =>
  asked.length <= 1 || !asked[0]?.operation.startsWith("Mutation.");

interface Outcome {
  failure: Failure | undefined;
  /** What the client calls its operation. */
  operationName?: string;
  startMs?: number;
}

/** Every answer has its trace id as a header, and a line in the log. */
function record(
  { requestLog, metrics }: ServerOptions,
  context: GraphqlContext,
  { failure, operationName, startMs = performance.now() }: Outcome,
): void {
  const { reply, span } = context;
  const { traceId } = context.anyone;
  reply.header("x-trace-id", traceId).header("cache-control", "no-store");
  const code = failure?.code ?? "OK";
  metrics.answer("graphql", code, startMs);
  // What a client calls its operation is in the span, never in its name.
  const attributes = operationName ? { "graphql.operation.name": operationName } : {};
  span?.end(code, attributes, operationsOf(context));
  const durationMs = Math.round((performance.now() - startMs) * 100) / 100;
  const reason = failure?.reason;
  requestLog.write({ operation: operationName, code, reason, durationMs, traceId });
}

const documentErrors = (error: unknown): readonly unknown[] =>
  error instanceof DocumentFaults ? error.errors : [error];

function statusOf(failure: Failure | undefined): number {
  if (failure?.reason === "MUTATION_BY_GET") return 405;
  return failure?.code === "INVALID_ARGUMENT" ? 400 : 500;
}

function httpFailure(
  error: FastifyError,
  { log }: ServerOptions,
  context: GraphqlContext,
): Failure {
  const { statusCode = 500 } = error;
  if (statusCode === 413) return bodyTooLarge();
  if (statusCode === 415) {
    return invalidArgument("CONTENT_TYPE_INVALID", "Send application/json.");
  }
  if (statusCode < 500) {
    return invalidArgument("REQUEST_INVALID", "The URL or the body is not well-formed.");
  }
  return failureOf(error, { log, traceId: context.anyone.traceId });
}

function refuse(
  options: ServerOptions,
  context: GraphqlContext,
  { failure, status }: { failure: Failure; status: number },
): FastifyReply {
  record(options, context, { failure });
  const errors = [errorAnswer(failure, context.anyone.traceId)];
  return context.reply.code(status).send({ errors });
}
