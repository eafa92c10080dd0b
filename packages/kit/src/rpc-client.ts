/**
 * Calls to other services: one channel per target, plain functions per method, errors as Failures.
 */
import {
  type ChannelOptions,
  Client,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { type Context, toItemContext } from "./context.js";
import { fromServiceError } from "./errors.js";
import type { Metrics } from "./metrics.js";
import { type InstanceSource, registerDiscoveryScheme, SOURCE_OPTION } from "./resolver.js";
import { startCall } from "./tracing.js";

/** A call that answers once. A request that says nothing of whom it is for gets that from the context. */
export type Unary<Request, Response> = (request: Request, context: Context) => Promise<Response>;

/**
 * Messages as they come, until the far side ends the stream, the caller breaks off or `signal`
 * aborts. Throws Failures.
 */
export type ServerStream<Request, Response> = (
  request: Request,
  signal?: AbortSignal,
) => AsyncIterable<Response>;

// biome-ignore lint/suspicious/noExplicitAny: a definition of any method, whatever its messages.
type AnyMethod = MethodDefinition<any, any>;

/** The methods of a generated service definition, as functions. */
export type RpcClient<Definition> = {
  [Name in keyof Definition]: Definition[Name] extends {
    requestSerialize: (value: infer Request) => Buffer;
    responseDeserialize: (value: Buffer) => infer Response;
    responseStream: infer Streams;
  }
    ? Streams extends true
      ? ServerStream<Request, Response>
      : Unary<Request, Response>
    : never;
};

export interface ChannelTo {
  /** The name of the service, for messages. */
  service: string;
  /** `discovery:///cart`, `dns:///cart:50051` or `host:port`. */
  target: string;
  /** Who calls. */
  caller: string;
  /** What `discovery:///` targets are looked up in. */
  discovery?: InstanceSource | undefined;
  /** Where its calls are counted. */
  metrics?: Metrics | undefined;
}

const CHANNEL_OPTIONS: ChannelOptions = {
  "grpc.service_config": JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 3_000,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1_000,
  "grpc.max_receive_message_length": 16 * 1024 * 1024,
};

/** A balanced connection to the instances behind one target. */
export class Channel {
  readonly #client: Client;
  readonly #service: string;
  readonly #metrics: Metrics | undefined;
  readonly #metadata = new Metadata();
  // A stream has no deadline; it waits for its far side to be there.
  readonly #streamMetadata = new Metadata({ waitForReady: true });

  constructor({ service, target, caller, discovery, metrics }: ChannelTo) {
    if (target.startsWith("discovery:")) registerDiscoveryScheme();
    this.#service = service;
    this.#metrics = metrics;
    for (const metadata of [this.#metadata, this.#streamMetadata]) metadata.set("x-caller", caller);
    this.#client = new Client(target, credentials.createInsecure(), {
      ...CHANNEL_OPTIONS,
      ...(discovery && { [SOURCE_OPTION]: discovery }),
    });
  }

  /** The methods of a service that is behind this channel. */
  client<Definition extends object>(definition: Definition): RpcClient<Definition> {
    const methods = Object.entries(definition as Record<string, AnyMethod>).map(
      ([name, method]) => [
        name,
        method.responseStream ? this.#serverStream(method) : this.#unary(method),
      ],
    );
    return Object.fromEntries(methods);
  }

  close(): void {
    this.#client.close();
  }

  #unary(method: AnyMethod): Unary<unknown, unknown> {
    const { path, requestSerialize, responseDeserialize } = method;
    return (request, context) =>
      new Promise((resolve, reject) => {
        const span = startCall(path, this.#service, context);
        const startMs = performance.now();
        this.#client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          { context: toItemContext(context), ...(request as object) },
          span ? span.inject(this.#metadata) : this.#metadata,
          { deadline: context.deadlineMs },
          (error, response) => {
            const code = error ? (status[error.code] ?? "UNKNOWN") : "OK";
            this.#metrics?.called(this.#service, path.slice(1), code, startMs);
            span?.end(code);
            if (error) reject(fromServiceError(error, this.#service));
            else resolve(response);
          },
        );
      });
  }

  #serverStream(method: AnyMethod): ServerStream<unknown, unknown> {
    const { path, requestSerialize, responseDeserialize } = method;
    const open = (request: unknown) =>
      this.#client.makeServerStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        this.#streamMetadata,
      );
    const service = this.#service;
    return async function* stream(request, signal) {
      const call = open(request);
      const cancel = () => call.cancel();
      signal?.addEventListener("abort", cancel);
      if (signal?.aborted) cancel();
      // Breaking off cancels the call, which then reports that as an error to nobody.
      call.on("error", () => undefined);
      try {
        for await (const message of call.iterator({ destroyOnReturn: false })) yield message;
      } catch (error) {
        if (!signal?.aborted) throw fromServiceError(error as ServiceError, service);
      } finally {
        signal?.removeEventListener("abort", cancel);
        cancel();
      }
    };
  }
}
