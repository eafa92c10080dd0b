/**
 * Calls within one process, for the compact mode: what they are over sockets, without the sockets.
 *
 * A message is encoded by who sends it and decoded for who gets it by the generated codecs, so that
 * nobody shares an object; the server's interceptors and handlers see the calls that a socket would
 * bring, with deadlines, cancellation and streams.
 */
import { Readable } from "node:stream";
import { type CallOptions, Metadata, type StatusObject, status } from "@grpc/grpc-js";
import { type LocalCall, type LocalServer, type Sent, tooLarge } from "./local-server.js";
import {
  type Decode,
  type Encode,
  MESSAGE_BYTES_MAX,
  type Transport,
  type UnaryCall,
} from "./transport.js";

type Answer = Parameters<Transport["makeUnaryRequest"]>[6];

/** The servers of a process, by the names of their programs. */
export class LocalNetwork {
  readonly #servers = new Map<string, LocalServer>();
  readonly #awaited = new Map<string, Set<() => void>>();

  /** From now on `local:///name` is this server. */
  serve(name: string, server: LocalServer): void {
    this.#servers.set(name, server);
    for (const listener of this.#awaited.get(name) ?? []) listener();
    this.#awaited.delete(name);
  }

  find(name: string): LocalServer | undefined {
    return this.#servers.get(name);
  }

  /** Calls the listener once the name is served. Returns how to end that. */
  whenServed(name: string, listener: () => void): () => void {
    const listeners = this.#awaited.get(name) ?? new Set();
    this.#awaited.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }
}

export interface LocalClientOptions {
  network: LocalNetwork;
  /** The name of the program to call. */
  name: string;
  /** The program that calls. */
  caller: string;
}

/** What carries a channel's calls to a program in the same process. */
export class LocalClient implements Transport {
  readonly #options: LocalClientOptions;

  constructor(options: LocalClientOptions) {
    this.#options = options;
  }

  close(): void {
    // There is no connection. Calls that are under way come to their own ends.
  }

  makeUnaryRequest(
    path: string,
    encode: Encode,
    decode: Decode,
    request: unknown,
    metadata: Metadata,
    { deadline = Number.POSITIVE_INFINITY }: CallOptions,
    answer: Answer,
  ): UnaryCall {
    const deadlineMs = Number(deadline);
    let bytes: Buffer | undefined;
    let call: LocalCall | undefined;
    let timer: NodeJS.Timeout | undefined;
    let isOver = false;
    const end = (ended: StatusObject) => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      answer(...outcomeOf(ended, bytes, decode));
    };
    const stop = (code: status, details: string) => {
      end(statusOf(code, details));
      call?.cancel();
    };
    const sent = this.#sent(
      { path, encode, request, metadata, deadlineMs },
      end,
      (message, taken) => {
        bytes = message;
        taken();
      },
    );
    // Whoever calls has the call in hand before anything is answered.
    process.nextTick(() => {
      if (isOver || !sent) return;
      call = this.#find()?.receive(sent);
      if (!call) end(this.#unreachable());
    });
    if (Number.isFinite(deadlineMs)) {
      const leftMs = Math.max(0, deadlineMs - Date.now());
      timer = setTimeout(stop, leftMs, status.DEADLINE_EXCEEDED, "Deadline exceeded");
    }
    return {
      cancel: () => process.nextTick(stop, status.CANCELLED, "Cancelled on client"),
      getPeer: () => this.#peer,
    };
  }

  makeServerStreamRequest(
    path: string,
    encode: Encode,
    decode: Decode,
    request: unknown,
    metadata: Metadata,
  ): LocalStream {
    let call: LocalCall | undefined;
    let stopWaiting: (() => void) | undefined;
    const stream = new LocalStream(decode, () => {
      stopWaiting?.();
      call?.cancel();
    });
    const deadlineMs = Number.POSITIVE_INFINITY;
    const sent = this.#sent(
      { path, encode, request, metadata, deadlineMs },
      (ended) => stream.ended(ended),
      (message, taken) => stream.came(message, taken),
    );
    const open = () => {
      if (stream.isOver || !sent) return;
      call = this.#find()?.receive(sent);
      if (call) return;
      const { network, name } = this.#options;
      if (metadata.getOptions().waitForReady) stopWaiting = network.whenServed(name, open);
      else stream.ended(this.#unreachable());
    };
    process.nextTick(open);
    return stream;
  }

  get #peer(): string {
    return `local:///${this.#options.name}`;
  }

  #find(): LocalServer | undefined {
    const { network, name } = this.#options;
    return network.find(name);
  }

  #unreachable(): StatusObject {
    return statusOf(status.UNAVAILABLE, `no ${this.#options.name} serves in this process`);
  }

  /** Undefined, and the call has its end, when the request cannot be encoded. */
  #sent(
    call: {
      path: string;
      encode: Encode;
      request: unknown;
      metadata: Metadata;
      deadlineMs: number;
    },
    onStatus: Sent["onStatus"],
    onMessage: Sent["onMessage"],
  ): Sent | undefined {
    const { path, encode, request, metadata, deadlineMs } = call;
    const { caller } = this.#options;
    try {
      const bytes = encode(request);
      return {
        path,
        caller,
        metadata: metadata.clone(),
        request: bytes,
        deadlineMs,
        onStatus,
        onMessage,
      };
    } catch (error) {
      const details = `Request message serialization failure: ${(error as Error).message}`;
      process.nextTick(onStatus, statusOf(status.INTERNAL, details));
      return undefined;
    }
  }
}

const statusOf = (code: status, details: string): StatusObject => ({
  code,
  details,
  metadata: new Metadata(),
});

// As grpc-js makes it.
const errorOf = (ended: StatusObject) =>
  Object.assign(new Error(`${ended.code} ${status[ended.code]}: ${ended.details}`), ended);

/** What a call that has ended is answered with. */
function outcomeOf(
  ended: StatusObject,
  bytes: Buffer | undefined,
  decode: Decode,
): Parameters<Answer> {
  if (ended.code !== status.OK) return [errorOf(ended)];
  if (!bytes) return [errorOf(statusOf(status.INTERNAL, "No message received"))];
  if (bytes.length > MESSAGE_BYTES_MAX) return [errorOf(tooLarge(bytes.length))];
  try {
    return [null, decode(bytes)];
  } catch (error) {
    const details = `Response message parsing error: ${(error as Error).message}`;
    return [errorOf(statusOf(status.INTERNAL, details))];
  }
}

/** The messages of a stream; its server is asked for the next one when this one is wanted. */
class LocalStream extends Readable {
  isOver = false;
  readonly #decode: Decode;
  readonly #cancelled: () => void;
  #taken: (() => void) | undefined;

  constructor(decode: Decode, cancelled: () => void) {
    super({ objectMode: true });
    this.#decode = decode;
    this.#cancelled = cancelled;
  }

  override _read(): void {
    const taken = this.#taken;
    this.#taken = undefined;
    taken?.();
  }

  came(bytes: Buffer, taken: () => void): void {
    if (this.isOver) return;
    if (bytes.length > MESSAGE_BYTES_MAX) this.#fail(tooLarge(bytes.length));
    else if (this.push(this.#decode(bytes))) taken();
    else this.#taken = taken;
  }

  ended(how: StatusObject): void {
    if (this.isOver) return;
    this.isOver = true;
    // What has come before is still read.
    this.push(null);
    if (how.code !== status.OK) this.emit("error", errorOf(how));
  }

  /** Soon: whoever cancels it before it listens is not hit by its error. */
  cancel(): void {
    process.nextTick(() => this.#fail(statusOf(status.CANCELLED, "Cancelled on client")));
  }

  #fail(how: StatusObject): void {
    if (this.isOver) return;
    this.ended(how);
    this.#cancelled();
  }
}
