/**
 * A NestJS gRPC server as every service runs it: one codec, health, one log line per call,
 * Failures.
 */
import "reflect-metadata";
import type { Writable } from "node:stream";
import type { Metadata, ServiceError } from "@grpc/grpc-js";
import type { RpcExceptionFilter } from "@nestjs/common";
import { type ArgumentsHost, Catch, Module, type Provider, type Type } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { ServerGrpc } from "@nestjs/microservices";
import { HealthImplementation } from "grpc-health-check";
import { type Observable, Subject, takeUntil, takeWhile, throwError } from "rxjs";
import { callLogger, type Loggable, traceOf } from "./call-log.js";
import {
  deadlineExceeded,
  Failure,
  internal,
  resourceExhausted,
  toServiceError,
} from "./errors.js";
import { guard, Malformed } from "./guard.js";
import { type LocalServer, ReachableServer } from "./local-server.js";
import type { Log } from "./log.js";
import type { Metrics } from "./metrics.js";
import type { Passports } from "./passport.js";
import { type Permission, permissionsOf } from "./permission.js";
import type { ProgramServer } from "./program-server.js";
import { serverCredentials, type Tls } from "./tls.js";
import { type Call, traced } from "./tracing.js";
import { MESSAGE_BYTES_MAX } from "./transport.js";

export interface RpcServerOptions {
  host: string;
  port: number;
  log: Log;
  metrics: Metrics;
  /** Generated definitions, by full name: "piata.cart.v1.CartService". */
  services: Record<string, object>;
  /** Nest controllers whose @Rpc handlers serve them. */
  controllers: Type[];
  providers: Provider[];
  /** What its users are known by; needed when it serves any. */
  passports?: Passports | undefined;
  /** Its certificate; without one it speaks plain text, and callers are believed by their word. */
  tls?: Tls | undefined;
  /** Told of the server once it serves, for callers in the same process. */
  serveLocally?: ((server: LocalServer) => void) | undefined;
}

/**
 * How long callers that are cut off have to hear of it. One whose network is gone never answers,
 * and Node would wait for the end of its connection until TCP gives it up.
 */
const CUT_OFF_MS = 500;

/**
 * Starts a server and resolves when it serves. Throws when the port is taken or a handler is
 * missing.
 */
export async function startRpcServer(options: RpcServerOptions): Promise<ProgramServer> {
  const { host, port, log, controllers, providers, services } = options;
  const names = ["", ...Object.keys(services)];
  const health = new HealthImplementation(
    Object.fromEntries(names.map((name) => [name, "SERVING" as const])),
  );
  const strategy = new PiataServer(options, health);

  @Module({ controllers, providers })
  class ServiceModule {}

  const app = await NestFactory.createMicroservice(ServiceModule, { strategy, logger: false });
  app.useGlobalFilters(new FailureFilter(log));
  try {
    await app.listen();
  } catch (error) {
    // It may be bound already: a program that cannot serve must not listen either.
    strategy.cutOff();
    throw error;
  }
  strategy.serveLocally();
  log.info({ host, port: strategy.port || port }, "serving gRPC");
  return {
    port: strategy.port,
    drain: () => {
      for (const name of names) health.setStatus(name, "NOT_SERVING");
      strategy.endStreams();
    },
    close: async (timeoutMs) => {
      const { promise: givenUp, resolve: giveUp } = Promise.withResolvers<void>();
      const timers = [
        setTimeout(() => strategy.cutOff(), timeoutMs),
        setTimeout(giveUp, timeoutMs + CUT_OFF_MS),
      ];
      // Those that were opened again since the drain.
      strategy.endStreams();
      try {
        await Promise.race([app.close(), givenUp]);
      } finally {
        for (const timer of timers) clearTimeout(timer);
      }
    },
  };
}

/** Calls that a server works on at once; their callers batch, so that few are many. */
const CALLS_MAX = 256;

interface UnaryCall extends Call {
  cancelled: boolean;
}
type Answer = (error: Partial<ServiceError> | null, value?: unknown) => void;
type Handler = (...call: unknown[]) => Promise<Observable<unknown>>;

/**
 * Nest's gRPC transport with the codecs of the generated definitions and the port it really has.
 */
class PiataServer extends ServerGrpc {
  port = 0;
  readonly #options: RpcServerOptions;
  readonly #health: HealthImplementation;
  readonly #draining = new Subject<void>();
  /** Calls that are being worked on. */
  #calls = 0;
  #server: ReachableServer | undefined;

  constructor(options: RpcServerOptions, health: HealthImplementation) {
    const packages = Object.keys(options.services).map((name) =>
      name.slice(0, name.lastIndexOf(".")),
    );
    super({
      package: [...new Set(packages)],
      packageDefinition: Object.fromEntries(
        Object.entries(options.services).map(([name, methods]) => [name, inProtoCase(methods)]),
      ),
      gracefulShutdown: true,
    });
    this.#options = options;
    this.#health = health;
  }

  override async createClient(): Promise<ReachableServer> {
    const { host, port, log, metrics, passports, tls } = this.#options;
    const permissions = permissionsByPath(this.#options);
    const server = new ReachableServer({
      interceptors: [
        callLogger(log, metrics),
        guard({ permissions, passports, isSecure: tls !== undefined }),
      ],
      "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
      // Nobody asks for these counts of every call, connection and message.
      "grpc.enable_channelz": 0,
      // A watcher that hangs reads nothing, and what it is told would pile up here.
      "grpc.keepalive_time_ms": 10_000,
      "grpc.keepalive_timeout_ms": 5_000,
    });
    this.port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(`${host}:${port}`, serverCredentials(tls), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    this.#health.addToServer(server);
    this.#server = server;
    return server;
  }

  // What nobody waits for any more is not begun, and what would wait long is refused at once.
  override createUnaryServiceMethod(handler: Handler) {
    const serve = super.createUnaryServiceMethod(handler) as (
      call: UnaryCall,
      answer: Answer,
    ) => Promise<void>;
    return traced(async (call: UnaryCall, answer: Answer): Promise<void> => {
      if (call.cancelled) return answer(toServiceError(nobodyWaits()));
      if (this.#calls >= CALLS_MAX) return answer(toServiceError(overloaded()));
      this.#calls += 1;
      await serve(call, (...answered) => {
        this.#calls -= 1;
        answer(...answered);
      });
    });
  }

  // A watch has no end of its own; its caller opens it again elsewhere. One that does not read what it
  // is told is ended too, or that would pile up here without end.
  override createStreamServiceMethod(handler: Handler) {
    return super.createStreamServiceMethod(async (...call: Parameters<Handler>) => {
      const stream = call[2] as Writable;
      return this.transformToObservable(await handler(...call)).pipe(
        takeUntil(this.#draining),
        takeWhile(() => !stream.writableNeedDrain),
      );
    });
  }

  endStreams(): void {
    this.#draining.next();
  }

  serveLocally(): void {
    if (this.#server) this.#options.serveLocally?.(this.#server.local);
  }

  cutOff(): void {
    this.#server?.forceShutdown();
  }
}

const nobodyWaits = () => deadlineExceeded("DEADLINE", "Its caller does not wait for it any more.");
const overloaded = () => resourceExhausted("OVERLOADED", "Too much is under way; try again soon.");

interface Method {
  path: string;
  requestDeserialize(bytes: Buffer): unknown;
}

// Generated definitions name methods as TypeScript does, Nest as the proto does.
function inProtoCase(methods: object): object {
  const cased = Object.entries(methods as Record<string, Method>).map(([name, method]) => [
    name.charAt(0).toUpperCase() + name.slice(1),
    { ...method, requestDeserialize: deserializer(method) },
  ]);
  return Object.fromEntries(cased);
}

// grpc-js would call bytes that are no message a bug of ours, and quote the decoder.
const deserializer =
  ({ requestDeserialize }: Method) =>
  (bytes: Buffer): unknown => {
    try {
      return requestDeserialize(bytes);
    } catch {
      return new Malformed();
    }
  };

/**
 * Throws when a method has no handler, which Nest would leave out in silence, or one for users when
 * there are no passports.
 */
function permissionsByPath(options: RpcServerOptions): Map<string, Permission> {
  const { services, controllers, passports } = options;
  const told = permissionsOf(controllers);
  const found = new Map<string, Permission>();
  for (const { path } of Object.values(services).flatMap((methods) =>
    Object.values(methods as Record<string, Method>),
  )) {
    const permission = told.get(path.slice(path.lastIndexOf(".") + 1));
    if (!permission) throw new Error(`${path} has no @Rpc handler.`);
    if (permission.trusts === "passport" && !passports) {
      throw new Error(`${path} is for users, and there is nothing to check passports with.`);
    }
    found.set(path, permission);
  }
  return found;
}

/**
 * The handlers that a service definition asks for; a controller `implements` it, so none is
 * forgotten.
 */
export type Handlers<Definition> = {
  [Name in keyof Definition]: Definition[Name] extends {
    requestSerialize: (value: infer Request) => Buffer;
    responseDeserialize: (value: Buffer) => infer Response;
    responseStream: infer Streams;
  }
    ? (
        request: Request,
        metadata: Metadata,
      ) => Streams extends true ? Observable<Response> : Promise<Response>
    : never;
};

/** What a handler throws becomes the error of its call. */
@Catch()
class FailureFilter implements RpcExceptionFilter {
  readonly #log: Log;
  constructor(log: Log) {
    this.#log = log;
  }
  catch(error: unknown, host: ArgumentsHost): Observable<never> {
    const failure = error instanceof Failure ? error : internal(error);
    if (failure !== error || failure.cause !== undefined) {
      const [request, , call] = host.getArgs<[Loggable, unknown, { getPath(): string }]>();
      const rpc = call.getPath().slice(1);
      const traceId = traceOf(request);
      this.#log.error({ rpc, traceId, err: failure.cause }, "a handler threw a bug");
    }
    return throwError(() => toServiceError(failure));
  }
}
