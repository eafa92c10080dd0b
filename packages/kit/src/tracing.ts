/**
 * Traces in OpenTelemetry's terms: request -> call -> server -> SQL. Off unless an OTLP endpoint is
 * set: then nothing of the SDK is loaded, and every hook here ends at one look at `active`.
 *
 * The gateway and the wire name the span that causes an item (`Context.spanId`, "" when nothing is
 * recorded). Inside a server an AsyncLocalStorage does, entered only for what is recorded. A batch
 * belongs to many traces: its one span is the child of the first item that is recorded, with links
 * to the others, and each of those has a span in its own trace with a link back.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { type Metadata, type ServiceError, status } from "@grpc/grpc-js";
import type { Attributes, SpanContext } from "@opentelemetry/api";
import { type Otel, openTracer, type TracingOptions } from "./otel.js";
import { type About, type Cause, KIND, Recording } from "./span.js";

/** What is being done right now, and for which spans. */
interface Scope {
  parent: Cause;
  /** Of a batch: the spans of the other items. */
  others?: readonly Cause[];
  /** Of a batch: its own span, once that is there. */
  span?: Recording;
}

/** OpenTelemetry's own limit of links per span. */
const LINKS_MAX = 128;
const TRACE_ID = /^(?!0{32})[0-9a-f]{32}$/;
/** W3C's: ff is no version, 00 ends after the flags, and a later one may have more. */
const TRACEPARENT =
  /^(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/;

const scopes = new AsyncLocalStorage<Scope | undefined>();
let active: Otel | undefined;

/** Starts tracing, if there is where to send it. Returns how to end it, in a second at most. */
export async function startTracing(options: TracingOptions): Promise<() => Promise<void>> {
  const { otlpEndpoint } = options;
  if (otlpEndpoint === undefined) return async () => undefined;
  const otel = await openTracer({ ...options, otlpEndpoint });
  active = otel;
  return () => {
    active = undefined;
    return otel.close();
  };
}

interface Start {
  about: About;
  cause: Cause | undefined;
  /** Of a span without a cause. */
  traceId?: string;
  links?: readonly Cause[];
  attributes?: Attributes;
  /** When it began, by performance.now(); now without. */
  startMs?: number;
}

function start(otel: Otel, name: string, options: Start): Recording | undefined {
  const { api, tracer, next } = otel;
  const { about, cause, traceId, links = [], attributes = {}, startMs } = options;
  const parent = cause
    ? api.trace.setSpanContext(api.ROOT_CONTEXT, spanContextOf(cause))
    : api.ROOT_CONTEXT;
  next.traceId = traceId && TRACE_ID.test(traceId) ? traceId : undefined;
  const span = tracer.startSpan(
    name,
    {
      kind: api.SpanKind[KIND[about]],
      attributes,
      links: links.map((link) => ({ context: spanContextOf(link) })),
      ...(startMs !== undefined && { startTime: startMs }),
    },
    parent,
  );
  next.traceId = undefined;
  return span.isRecording() ? new Recording(span, about) : undefined;
}

const spanContextOf = ({ traceId, spanId }: Cause): SpanContext => ({
  traceId,
  spanId,
  traceFlags: 1,
  isRemote: true,
});

/** What a traceparent header says; undefined when it is missing or not well-formed. */
export function traceparentIn(
  header: unknown,
): { traceId: string; spanId: string; sampled: boolean } | undefined {
  if (typeof header !== "string") return undefined;
  const [, traceId, spanId, flags] = TRACEPARENT.exec(header) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** The span of a request from outside, whose traceparent says whether its trace is recorded. */
export function startRequest(traceId: string, traceparent: unknown): Recording | undefined {
  if (!active) return undefined;
  const given = traceparentIn(traceparent);
  if (given?.traceId !== traceId) {
    if (!active.wants(traceId)) return undefined;
    return start(active, "request", { about: "request", cause: undefined, traceId });
  }
  return given.sampled ? start(active, "request", { about: "request", cause: given }) : undefined;
}

/** The span of one call to another service, for the items of a batch or for one context. */
export function startCall(path: string, service: string, context: Cause): Recording | undefined {
  if (!active) return undefined;
  const scope = scopes.getStore();
  const isBatch = scope?.others !== undefined;
  if (!isBatch && context.spanId === "") return undefined;
  const method = path.slice(1);
  const attributes = { "rpc.system.name": "grpc", "rpc.method": method, "server.address": service };
  if (!isBatch) return start(active, method, { about: "call", cause: context, attributes });
  return startInBatch(active, { name: method, about: "call" }, scope, attributes);
}

/** The span of one SQL statement; its values are nobody's business. */
export function startStatement(name: string): Recording | undefined {
  if (!active) return undefined;
  const scope = scopes.getStore();
  if (!scope) return undefined;
  const attributes = { "db.system.name": "postgresql", "db.query.summary": name };
  return startInBatch(active, { name, about: "statement" }, scope, attributes);
}

function startInBatch(
  otel: Otel,
  { name, about }: { name: string; about: About },
  scope: Scope,
  attributes: Attributes,
) {
  const { parent: cause, others: links = [] } = scope;
  const span = start(otel, name, { about, cause, links, attributes });
  if (span) scope.span ??= span;
  return span;
}

type Answer = (error: Partial<ServiceError> | null, value?: unknown) => void;

/** What tracing has to know of a call that is served. */
export interface Call {
  metadata: Metadata;
  getPath(): string;
}

/** A gRPC server's unary method, served within the span of its call if its caller records one. */
export function traced<Served extends Call, Result>(
  serve: (call: Served, answer: Answer) => Result,
): (call: Served, answer: Answer) => Result {
  return (call, answer) => {
    const cause = active && causeIn(call.metadata);
    if (!active || !cause) return serve(call, answer);
    const method = call.getPath().slice(1);
    const attributes = { "rpc.system.name": "grpc", "rpc.method": method };
    const span = start(active, method, { about: "service", cause, attributes });
    if (!span) return serve(call, answer);
    const ending: Answer = (error, value) => {
      span.end(error ? (status[error.code ?? status.UNKNOWN] ?? "UNKNOWN") : "OK");
      answer(error, value);
    };
    return scopes.run({ parent: span }, () => serve(call, ending));
  };
}

function causeIn(metadata: Metadata): Cause | undefined {
  const given = traceparentIn(metadata.get("traceparent")[0]);
  return given?.sampled ? given : undefined;
}

/** The span that work of this trace, done right now, is caused by; "" when none is recorded. */
export function currentSpanId(traceId: string): string {
  const parent = active && scopes.getStore()?.parent;
  return parent?.traceId === traceId ? parent.spanId : "";
}

/** The recorded span that an item is asked for by: its own, or else what is being done right now. */
export function causeOf(context: Cause | undefined): Cause | undefined {
  if (!active) return undefined;
  if (!context) return scopes.getStore()?.parent;
  return context.spanId === "" ? undefined : context;
}

/** Does the work of a batch for all the spans that its items are asked for by. */
export async function inBatch<Result>(
  name: string,
  items: readonly { cause: Cause | undefined }[],
  work: () => Promise<Result>,
): Promise<Result> {
  const causes = new Map<string, Cause>();
  for (const { cause } of items) if (cause) causes.set(cause.spanId, cause);
  const [parent, ...others] = causes.values();
  // Not the scope of whoever happened to schedule the batch.
  if (!parent) return scopes.run(undefined, work);
  const scope: Scope = { parent, others: others.slice(0, LINKS_MAX) };
  const startMs = performance.now();
  try {
    return await scopes.run(scope, work);
  } finally {
    const links = [scope.span ?? parent];
    for (const cause of scope.others ?? []) {
      if (active) start(active, name, { about: "work", cause, links, startMs })?.end("OK");
    }
  }
}

/** Whether there is tracing at all. */
export const isTracing = (): boolean => active !== undefined;

/**
 * Does an item's own work within a span of its trace: below what is being done, if that is of the
 * same trace, or below the span that caused it; not recorded when neither is.
 */
export async function inSpan<Result>(
  name: string,
  { traceId, spanId }: Cause,
  work: () => Promise<Result>,
): Promise<Result> {
  if (!active) return work();
  const within = currentSpanId(traceId) || spanId;
  if (within === "") return scopes.run(undefined, work);
  return scoped(start(active, name, { about: "work", cause: { traceId, spanId: within } }), work);
}

/**
 * Does a job of a worker within a span of the trace that it belongs to. What caused it has been
 * over for long, so that the span has no parent there unless the job was started by it right now,
 * and it is recorded if a trace of that id would be.
 */
export async function inJob<Result>(
  name: string,
  traceId: string,
  work: () => Promise<Result>,
): Promise<Result> {
  if (!active) return work();
  const spanId = currentSpanId(traceId);
  const cause = spanId === "" ? undefined : { traceId, spanId };
  return scoped(start(active, name, { about: "work", cause, traceId }), work);
}

async function scoped<Result>(
  span: Recording | undefined,
  work: () => Promise<Result>,
): Promise<Result> {
  if (!span) return scopes.run(undefined, work);
  let code = "UNKNOWN";
  try {
    const result = await scopes.run({ parent: span }, work);
    code = "OK";
    return result;
  } catch (error) {
    code = String((error as { code?: unknown }).code ?? code);
    throw error;
  } finally {
    span.end(code);
  }
}
