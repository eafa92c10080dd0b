/**
 * Calls to other services: one channel per target, plain functions per method, errors as Failures.
 *
 * A call has a deadline and ends with its caller. What the protos call idempotent is made again,
 * within a budget, when no instance has answered; a target that answers nothing at all is left
 * alone for a moment.
 */
import { setTimeout as pause } from "node:timers/promises";
import {
  type ChannelOptions,
  Client,
  Metadata,
  type MethodDefinition,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { IDEMPOTENT } from "@piata/contracts/idempotent";
import { Breaker } from "./breaker.js";
import { ConfigError } from "./config.js";
import { type Context, toItemContext } from "./context.js";
import { Failure, failureIn, fromServiceError, late, unreachable } from "./errors.js";
import { CALLER_KEY } from "./guard.js";
import { LocalClient, type LocalNetwork } from "./local.js";
import type { Metrics } from "./metrics.js";
import { Outliers } from "./outliers.js";
import { targetOf } from "./resolver.js";
import { backoffMs, RetryBudget } from "./retry.js";
import { type InstanceSource, type Lookup, localNameOf, sourceOf } from "./target.js";
import { channelCredentials, type Tls } from "./tls.js";
import { startCall } from "./tracing.js";
import { MESSAGE_BYTES_MAX, type Transport } from "./transport.js";

/**
 * A call that answers once. A request that says nothing of whom it is for gets that from the
 * context.
 */
export interface Unary<Request, Response> {
  (request: Request, context: Context): Promise<Response>;
  /** How many instances share the calls. */
  instances(): number;
}

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
  /** As target.ts reads it: `discovery:///cart`, `dns:///cart:50051`, … */
  target: string;
  /** Who calls; with TLS the certificate says it. */
  caller: string;
  /** Its certificate; without one it speaks plain text. */
  tls?: Tls | undefined;
  /** What `discovery:///` targets are looked up in. */
  discovery?: InstanceSource | undefined;
  /** Where its calls are counted. */
  metrics?: Metrics | undefined;
  /** What `local:///` targets are found in. */
  network?: LocalNetwork | undefined;
  /** What names are looked up in; the machine's own resolver, unless a test says otherwise. */
  lookup?: Lookup;
}

/** How often an idempotent call is made at most; they share the time that there is. */
const ATTEMPTS_MAX = 3;
/** An instance that did not answer within less may be well. */
const FAIR_MS = 250;
const RETRY = { firstMs: 20, maxMs: 200 };

const CHANNEL_OPTIONS: ChannelOptions = {
  "grpc.service_config": JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
  "grpc.keepalive_time_ms": 3_000,
  "grpc.keepalive_timeout_ms": 2_000,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 500,
  "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
  "grpc.enable_channelz": 0,
};

/** A balanced connection to the instances behind one target. */
export class Channel {
  readonly #client: Transport;
  readonly #service: string;
  readonly #metrics: Metrics | undefined;
  readonly #metadata = new Metadata();
  // A stream has no deadline; it waits for its far side to be there.
  readonly #streamMetadata = new Metadata({ waitForReady: true });
  readonly #outliers: Outliers;
  readonly #target: string;
  readonly #budget = new RetryBudget();
  readonly #breaker = new Breaker();

  /** Throws ConfigError for a target that is none. */
  constructor(to: ChannelTo) {
    const { service, target, caller, tls, discovery, lookup, metrics, network } = to;
    this.#service = service;
    this.#metrics = metrics;
    for (const metadata of [this.#metadata, this.#streamMetadata]) metadata.set(CALLER_KEY, caller);
    this.#outliers = new Outliers(sourceOf(target, discovery, lookup));
    const name = localNameOf(target);
    if (name !== undefined) {
      if (!network) throw new ConfigError(`${target} is for programs that share a process`);
      this.#target = target;
      this.#client = new LocalClient({ network, name, caller });
      return;
    }
    const [address, options] = targetOf(service, this.#outliers);
    this.#target = address;
    const { credential, options: naming } = channelCredentials(service, tls);
    this.#client = new Client(address, credential, { ...CHANNEL_OPTIONS, ...options, ...naming });
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
    const call = async (request: unknown, context: Context) => {
      const startMs = performance.now();
      try {
        const answer = await this.#call(method, request, context);
        this.#metrics?.called(this.#service, method.path.slice(1), "OK", startMs);
        return answer;
      } catch (error) {
        const code = error instanceof Failure ? error.code : "INTERNAL";
        this.#metrics?.called(this.#service, method.path.slice(1), code, startMs);
        throw error;
      }
    };
    return Object.assign(call, { instances: () => this.#outliers.size });
  }

  async #call(method: AnyMethod, request: unknown, context: Context): Promise<unknown> {
    const isIdempotent = IDEMPOTENT.has(method.path);
    if (!this.#breaker.admits()) throw unreachable(this.#service);
    this.#budget.called();
    for (let attempt = 1; ; attempt += 1) {
      // Not sent, so that it says nothing about the service.
      if (Date.now() >= context.deadlineMs) throw late(this.#service);
      const left = isIdempotent && this.#budget.mayRetry ? ATTEMPTS_MAX - attempt + 1 : 1;
      try {
        return await this.#attempt(method, request, { context, left });
      } catch (error) {
        if (!(error instanceof Unanswered)) throw error;
        const isOver = left === 1 || Date.now() >= context.deadlineMs || context.caller?.isGone;
        if (isOver) throw fromServiceError(error.cause, this.#service);
      }
      this.#budget.retried();
      this.#metrics?.calledAgain(this.#service, method.path.slice(1));
      await pause(backoffMs(attempt - 1, RETRY));
    }
  }

  /** Throws the Failure of an instance that has answered, else Unanswered. */
  #attempt(
    { path, requestSerialize, responseDeserialize }: AnyMethod,
    request: unknown,
    { context, left }: { context: Context; left: number },
  ): Promise<unknown> {
    const { deadlineMs, caller } = context;
    const nowMs = Date.now();
    // A slow instance is not asked again when there is no other: it would have to begin anew.
    const shares = Math.min(left, this.#outliers.size);
    const patienceMs = (deadlineMs - nowMs) / shares;
    const span = startCall(path, this.#service, context);
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        { context: toItemContext(context, nowMs), ...(request as object) },
        span ? span.inject(this.#metadata) : this.#metadata,
        { deadline: nowMs + patienceMs },
        (error, response) => {
          stay?.();
          span?.end(error ? (status[error.code] ?? "UNKNOWN") : "OK");
          if (error && isUnanswered(error)) {
            // One that its own caller has ended, or had no time for, says nothing about it.
            const isFair = error.code !== status.DEADLINE_EXCEEDED || patienceMs >= FAIR_MS;
            if (isFair && !caller?.isGone) this.#failed(call.getPeer());
            reject(new Unanswered(error));
            return;
          }
          this.#answered(call.getPeer());
          if (error) reject(fromServiceError(error, this.#service));
          else resolve(response);
        },
      );
      const stay = caller?.whenGone(() => call.cancel());
    });
  }

  #answered(peer: string): void {
    this.#breaker.answered();
    this.#outliers.answered(peer);
  }

  #failed(peer: string): void {
    // Without a connection the peer is the target itself.
    const instance = peer === this.#target ? undefined : peer;
    this.#breaker.failed(instance, this.#outliers.known);
    this.#outliers.failed(peer);
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

/** No instance has answered the call: its connection broke, or its time ran out. */
class Unanswered extends Error {
  override readonly cause: ServiceError;
  constructor(cause: ServiceError) {
    super(cause.message);
    this.cause = cause;
  }
}

const UNANSWERED = new Set([status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.CANCELLED]);

// A Failure with these codes comes from a handler, whose instance is well. CANCELLED without one: the
// far side reset the stream, as a process that is ended does.
const isUnanswered = (error: ServiceError): boolean =>
  UNANSWERED.has(error.code) && failureIn(error.metadata) === undefined;
