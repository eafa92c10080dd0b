/** OpenTelemetry's SDK, as tracing uses it; loaded only when there is a collector. */
import type { Tracer } from "@opentelemetry/api";
import type { Log } from "./log.js";

export interface TracingOptions {
  /** The base URL of an OTLP/HTTP collector; undefined for no tracing. */
  otlpEndpoint: string | undefined;
  /** The share of the traces begun here that are recorded, from 0 to 1. */
  tracesRatio: number;
  service: string;
  version: string;
  instanceId: string;
  log: Log;
}

export interface Otel {
  api: typeof import("@opentelemetry/api");
  tracer: Tracer;
  /** The trace id of the next span that has no parent. */
  next: { traceId: string | undefined };
  /** Whether a trace of that id is recorded when nobody says: a look, where a span is work. */
  wants(traceId: string): boolean;
  /** Sends what waits, and ends within a second whether that worked or not. */
  close(): Promise<void>;
}

const FLUSH_MS = 1_000;
const EXPORT_EVERY_MS = 1_000;
const SPANS_WAITING_MAX = 8_192;
const COMPLAIN_EVERY_MS = 60_000;

/** A tracer that sends its spans to the collector of the options. */
export async function openTracer(
  options: TracingOptions & { otlpEndpoint: string },
): Promise<Otel> {
  const { otlpEndpoint, tracesRatio, service, version, instanceId, log } = options;
  const [api, sdk, { OTLPTraceExporter }, { resourceFromAttributes }] = await Promise.all([
    import("@opentelemetry/api"),
    import("@opentelemetry/sdk-trace"),
    import("@opentelemetry/exporter-trace-otlp-http"),
    import("@opentelemetry/resources"),
  ]);
  api.diag.setLogger(complaints(log), api.DiagLogLevel.WARN);
  const ids = new sdk.RandomIdGenerator();
  const root = new sdk.TraceIdRatioBasedSampler(tracesRatio);
  const next: Otel["next"] = { traceId: undefined };
  const provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({
      "service.namespace": "piata",
      "service.name": service,
      "service.version": version,
      "service.instance.id": instanceId,
    }),
    sampler: new sdk.ParentBasedSampler({ root }),
    idGenerator: {
      generateTraceId: () => next.traceId ?? ids.generateTraceId(),
      generateSpanId: () => ids.generateSpanId(),
    },
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        exporter: new OTLPTraceExporter({ url: `${otlpEndpoint.replace(/\/+$/, "")}/v1/traces` }),
        scheduledDelayMillis: EXPORT_EVERY_MS,
        // More is dropped: a collector that is away or slow must cost neither memory nor time.
        maxQueueSize: SPANS_WAITING_MAX,
      }),
    ],
  });
  return {
    api,
    tracer: provider.getTracer("piata"),
    next,
    wants: (traceId) =>
      root.shouldSample(api.ROOT_CONTEXT, traceId).decision ===
      sdk.SamplingDecision.RECORD_AND_SAMPLED,
    close: async () => {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise((resolve) => {
        timer = setTimeout(resolve, FLUSH_MS);
      });
      await Promise.race([provider.shutdown().catch(() => undefined), late]);
      clearTimeout(timer);
      api.diag.disable();
    },
  };
}

// A collector that is away is worth one line now and then, not one per batch of spans.
function complaints(log: Log) {
  let nextMs = 0;
  const complain = (message: string) => {
    if (Date.now() < nextMs) return;
    nextMs = Date.now() + COMPLAIN_EVERY_MS;
    log.warn({ reason: message.slice(0, 300) }, "traces are not sent");
  };
  const quiet = () => undefined;
  return { error: complain, warn: complain, info: quiet, debug: quiet, verbose: quiet };
}
