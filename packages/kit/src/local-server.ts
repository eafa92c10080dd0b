/**
 * Serving calls that come from within the process: the handlers and interceptors of a gRPC server,
 * without its sockets.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { EventEmitter } from "node:events";
import {
  Metadata,
  type MethodDefinition,
  Server,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  type ServerOptions,
  type StatusObject,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import {
  ServerUnaryCallImpl,
  ServerWritableStreamImpl,
  serverErrorToStatus,
} from "@grpc/grpc-js/build/src/server-call.js";
import { InProgress, type Placed } from "./in-progress.js";
import { MESSAGE_BYTES_MAX } from "./transport.js";

/** A call as its caller sends it, and how it gets what comes back. */
export interface Sent {
  path: string;
  /** The program that calls. */
  caller: string;
  metadata: Metadata;
  request: Buffer;
  /** In ms since the epoch; Infinity for none. */
  deadlineMs: number;
  /** A message has come; `taken` asks for the next one. */
  onMessage(bytes: Buffer, taken: () => void): void;
  onStatus(status: StatusObject): void;
}

type Listener = Parameters<ServerInterceptingCallInterface["start"]>[0];
type Definition = MethodDefinition<unknown, unknown>;
type Status = Parameters<ServerInterceptingCallInterface["sendStatus"]>[0];
type Respond = (error: Parameters<typeof serverErrorToStatus>[0] | null, value?: unknown) => void;

interface Method {
  definition: Definition;
  handle: (call: unknown, respond?: Respond) => unknown;
}

/** What grpc-js' interceptors see of a call: here the lowest of them, with no stream below. */
export class LocalCall implements ServerInterceptingCallInterface, Placed {
  place = -1;
  readonly #sent: Sent;
  readonly #method: Definition;
  readonly #ended: () => void;
  #listener: Listener | undefined;
  #reads = 0;
  #isOver = false;

  /** `ended` is called once, however the call ends. */
  constructor(sent: Sent, method: Definition, ended: () => void) {
    this.#sent = sent;
    this.#method = method;
    this.#ended = ended;
  }

  start(listener: Listener): void {
    this.#listener = listener;
    listener.onReceiveMetadata(this.#sent.metadata);
  }

  startRead(): void {
    this.#reads += 1;
    if (this.#isOver) return;
    if (this.#reads === 1) {
      this.#listener?.onReceiveMessage(this.#method.requestDeserialize(this.#sent.request));
    } else if (this.#reads === 2) this.#listener?.onReceiveHalfClose();
  }

  /** Ends it before its handler has: its caller does not wait any more, or is told this. */
  cancel(told?: StatusObject): void {
    if (!this.#end()) return;
    this.#listener?.onCancel();
    if (told) this.#sent.onStatus(told);
  }

  sendMetadata(): void {
    // Callers within the process read none, as no channel does.
  }

  sendMessage(message: unknown, taken: () => void): void {
    if (this.#isOver) return;
    let bytes: Buffer;
    try {
      bytes = this.#method.responseSerialize(message);
    } catch (error) {
      const details = `Error serializing response: ${(error as Error).message}`;
      this.sendStatus({ code: status.INTERNAL, details, metadata: null });
      return;
    }
    this.#sent.onMessage(bytes, taken);
  }

  sendStatus({ code, details, metadata }: Status): void {
    if (!this.#end()) return;
    this.#sent.onStatus({
      code: code ?? status.UNKNOWN,
      details: details ?? "",
      metadata: metadata?.clone() ?? new Metadata(),
    });
  }

  getPeer(): string {
    return `local:///${this.#sent.caller}`;
  }

  getDeadline(): number {
    return this.#sent.deadlineMs;
  }

  getHost(): string {
    return "";
  }

  // What a certificate proves of a caller elsewhere, being in the process proves of this one.
  getAuthContext(): ReturnType<ServerInterceptingCallInterface["getAuthContext"]> {
    const subject = { CN: this.#sent.caller };
    return { transportSecurityType: "local", sslPeerCertificate: { subject } as never };
  }

  getConnectionInfo() {
    return {};
  }

  getMetricsRecorder(): never {
    throw new Error("Calls within the process carry no load reports.");
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#ended();
    return true;
  }
}

/** The methods of a server, for callers in the same process. */
export class LocalServer {
  readonly #interceptors: readonly ServerInterceptor[];
  readonly #methods = new Map<string, Method>();
  readonly #calls = new InProgress<LocalCall>();
  // A handler must not find itself in the trace of whoever called it.
  readonly #outside = AsyncLocalStorage.snapshot();
  #drained: (() => void) | undefined;

  constructor(interceptors: readonly ServerInterceptor[]) {
    this.#interceptors = interceptors;
  }

  addService(definitions: object, handlers: UntypedServiceImplementation): void {
    for (const [name, definition] of Object.entries(definitions as Record<string, Definition>)) {
      const { originalName = name } = definition;
      const handle = (handlers[name] ?? handlers[originalName]) as Method["handle"] | undefined;
      if (handle) this.#methods.set(definition.path, { definition, handle: handle.bind(handlers) });
    }
  }

  /** Begins a call. Undefined when the server takes none any more. */
  receive(sent: Sent): LocalCall | undefined {
    if (this.#drained) return undefined;
    const method = this.#methods.get(sent.path);
    const call: LocalCall = new LocalCall(sent, method?.definition as Definition, () => {
      this.#calls.delete(call);
      if (this.#calls.size === 0) this.#drained?.();
    });
    this.#calls.add(call);
    const fault = faultOf(sent, method);
    if (fault) call.sendStatus(fault);
    else this.#outside(() => serve(this.#intercepted(call, method as Method), method as Method));
    return call;
  }

  /** Takes no more calls; resolves when those that there are have ended. */
  drain(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#drained = resolve;
    if (this.#calls.size === 0) resolve();
    return promise;
  }

  /** Ends the calls that there are, as a connection that breaks would. */
  cutOff(): void {
    const told = { code: status.UNAVAILABLE, details: "cut off", metadata: new Metadata() };
    for (const call of this.#calls) call.cancel(told);
  }

  #intercepted(call: LocalCall, { definition }: Method): ServerInterceptingCallInterface {
    return this.#interceptors.reduce<ServerInterceptingCallInterface>(
      (below, interceptor) => interceptor(definition, below),
      call,
    );
  }
}

function faultOf({ path, request }: Sent, method: Method | undefined): Status | undefined {
  if (!method) {
    const details = `The server does not implement the method ${path}`;
    return { code: status.UNIMPLEMENTED, details, metadata: null };
  }
  return request.length > MESSAGE_BYTES_MAX ? tooLarge(request.length) : undefined;
}

/** The end of a call with a message that is too large. */
export const tooLarge = (bytes: number): StatusObject => ({
  code: status.RESOURCE_EXHAUSTED,
  details: `Received message larger than max (${bytes} vs. ${MESSAGE_BYTES_MAX})`,
  metadata: new Metadata(),
});

/** Hands a call to its handler, as grpc-js does when all of a request has come. */
function serve(call: ServerInterceptingCallInterface, { definition, handle }: Method): void {
  const { path, responseStream } = definition;
  let metadata: Metadata;
  let request: unknown;
  let cancel: (() => void) | undefined;
  const respond: Respond = (error, value) => {
    if (error) return call.sendStatus(serverErrorToStatus(error));
    const ok = { code: status.OK, details: "OK", metadata: null };
    call.sendMessage(value, () => call.sendStatus(ok));
  };
  call.start({
    onReceiveMetadata: (received) => {
      metadata = received;
      call.startRead();
    },
    onReceiveMessage: (message) => {
      request = message;
      call.startRead();
    },
    onReceiveHalfClose: () => {
      const Call = responseStream ? ServerWritableStreamImpl : ServerUnaryCallImpl;
      const served = new Call(path, call, metadata, request);
      cancel = () => {
        served.cancelled = true;
        (served as EventEmitter).emit("cancelled", "cancelled");
        if (served instanceof ServerWritableStreamImpl) served.destroy();
      };
      handle(served, responseStream ? undefined : respond);
    },
    onCancel: () => cancel?.(),
  });
}

/** A gRPC server whose services are called from within the process as well. */
export class ReachableServer extends Server {
  readonly local: LocalServer;

  constructor(options: ServerOptions) {
    super(options);
    this.local = new LocalServer(options.interceptors ?? []);
  }

  override addService(
    definitions: Parameters<Server["addService"]>[0],
    handlers: UntypedServiceImplementation,
  ): void {
    super.addService(definitions, handlers);
    this.local.addService(definitions, handlers);
  }

  override tryShutdown(callback: (error?: Error) => void): void {
    const drained = this.local.drain();
    super.tryShutdown((error) => void drained.then(() => callback(error)));
  }

  override forceShutdown(): void {
    this.local.cutOff();
    super.forceShutdown();
  }
}
