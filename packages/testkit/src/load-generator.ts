/**
 * Load on an HTTP server: a client that costs little beside the server, and two ways of using it. A
 * closed loop asks again when it has an answer, and finds the capacity; an open loop asks at its own
 * rate whatever happens, as customers do, and finds what overload does.
 */
import { connect, type Socket } from "node:net";

export interface HttpAnswer {
  status: number;
  /** Of `body()`: it is decoded only when somebody reads it. */
  body(): string;
}

const HEAD_END = Buffer.from("\r\n\r\n");
const STATUS_AT = "HTTP/1.1 ".length;

/** One keep-alive connection, with at most one request under way. */
class Connection {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #settle: { resolve: (answer: HttpAnswer) => void; reject: (error: Error) => void } | undefined;
  isOpen = true;

  constructor(host: string, port: number) {
    this.#socket = connect({ host, port, noDelay: true });
    this.#socket.on("data", (chunk) => this.#receive(chunk as Buffer));
    this.#socket.on("error", (error) => this.#end(error));
    this.#socket.on("close", () => this.#end(new Error("the connection was closed")));
  }

  ask(request: string | Buffer): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    const received = this.#received.length > 0 ? Buffer.concat([this.#received, chunk]) : chunk;
    this.#received = received;
    const end = received.indexOf(HEAD_END);
    if (end === -1) return;
    const head = received.toString("latin1", STATUS_AT, end);
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
    const start = end + HEAD_END.length;
    if (received.length < start + length) return;
    this.#received = received.subarray(start + length);
    if (/\r\nconnection: close/i.test(head)) {
      this.isOpen = false;
      this.#socket.end();
    }
    const settle = this.#settle;
    this.#settle = undefined;
    const body = () => received.toString("utf8", start, start + length);
    settle?.resolve({ status: Number(head.slice(0, 3)), body });
  }

  #end(error: Error): void {
    this.isOpen = false;
    this.#settle?.reject(error);
    this.#settle = undefined;
  }
}

/** The bytes of a POST of JSON; a connection that is kept can send them again and again. */
export function postOf({ pathname, host }: URL, body: string | Uint8Array, token?: string): Buffer {
  const bytes = Buffer.from(body);
  const head =
    `POST ${pathname} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\n` +
    (token === undefined ? "" : `authorization: Bearer ${token}\r\n`) +
    `content-length: ${bytes.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), bytes]);
}

interface LoadClientOptions {
  /** Connections at most; what finds none free fails with NoConnection. */
  connectionsMax?: number;
}

/** All connections are in use: it is not the server that refused. */
class NoConnection extends Error {}

// One for all: under load a stack for each would cost more than the request.
const NO_CONNECTION = new NoConnection("no connection is free");

/** A client that keeps as many connections as it needs at once. */
export class LoadClient {
  readonly #url: URL;
  readonly #connectionsMax: number;
  readonly #idle: Connection[] = [];
  readonly #all = new Set<Connection>();

  constructor(url: string, { connectionsMax = 1_000 }: LoadClientOptions = {}) {
    this.#url = new URL(url);
    this.#connectionsMax = connectionsMax;
  }

  /** POSTs JSON. Throws when the connection breaks, and NoConnection when none is free. */
  post(body: string, token?: string): Promise<HttpAnswer> {
    return this.send(this.request(body, token));
  }

  /** What `post` sends; made once, it can be sent often. */
  request(body: string | Uint8Array, token?: string): Buffer {
    return postOf(this.#url, body, token);
  }

  /** Sends what `request` made. Throws as `post` does. */
  async send(request: Buffer): Promise<HttpAnswer> {
    const connection = this.#free();
    try {
      return await connection.ask(request);
    } finally {
      if (connection.isOpen) this.#idle.push(connection);
      else this.#all.delete(connection);
    }
  }

  close(): void {
    for (const connection of this.#all) connection.close();
  }

  #free(): Connection {
    for (let idle = this.#idle.pop(); idle; idle = this.#idle.pop()) {
      if (idle.isOpen) return idle;
      this.#all.delete(idle);
    }
    if (this.#all.size >= this.#connectionsMax) throw NO_CONNECTION;
    const connection = new Connection(this.#url.hostname, Number(this.#url.port));
    this.#all.add(connection);
    return connection;
  }
}

/** How many ended how, and how long they took. */
export class Tally {
  readonly #took = new Map<string, number[]>();

  add(outcome: string, tookMs: number): void {
    const took = this.#took.get(outcome);
    if (took) took.push(tookMs);
    else this.#took.set(outcome, [tookMs]);
  }

  count(outcome: string): number {
    return this.#took.get(outcome)?.length ?? 0;
  }

  /** What so large a part of them took at most, in ms; NaN when there was none. */
  quantileMs(outcome: string, part: number): number {
    const took = (this.#took.get(outcome) ?? []).toSorted((a, b) => a - b);
    return took[Math.min(took.length - 1, Math.floor(took.length * part))] ?? Number.NaN;
  }

  get outcomes(): string[] {
    return [...this.#took.keys()].sort();
  }

  toString(): string {
    const ms = (outcome: string, part: number) => this.quantileMs(outcome, part).toFixed(1);
    return this.outcomes
      .map((outcome) => {
        const [half, most] = [ms(outcome, 0.5), ms(outcome, 0.99)];
        return `${outcome}: ${this.count(outcome)} (p50 ${half} ms, p99 ${most} ms)`;
      })
      .join(", ");
  }
}

/** The outcome of what the client could not even send. */
export const NOT_SENT = "not sent";

/** Does something and says how it ended. */
export type Task = () => Promise<string>;

async function timed(task: Task, tally: Tally): Promise<void> {
  const start = performance.now();
  const outcome = await task().catch((error: Error) =>
    error instanceof NoConnection ? NOT_SENT : `error: ${error.message}`,
  );
  tally.add(outcome, performance.now() - start);
}

/** So many workers, each doing the task again and again. */
export async function closedLoop(workers: number, durationMs: number, task: Task): Promise<Tally> {
  const tally = new Tally();
  const end = performance.now() + durationMs;
  const work = async () => {
    while (performance.now() < end) await timed(task, tally);
  };
  await Promise.all(Array.from({ length: workers }, work));
  return tally;
}

const TICK_MS = 2;

/** The task so many times a second, whether or not the ones before have ended. */
export async function openLoop(perSecond: number, durationMs: number, task: Task): Promise<Tally> {
  const tally = new Tally();
  const running: Promise<void>[] = [];
  const start = performance.now();
  await new Promise<void>((resolve) => {
    const ticking = setInterval(() => {
      const passedMs = Math.min(performance.now() - start, durationMs);
      while (running.length < (passedMs / 1000) * perSecond) running.push(timed(task, tally));
      if (passedMs < durationMs) return;
      clearInterval(ticking);
      resolve();
    }, TICK_MS);
  });
  await Promise.all(running);
  return tally;
}
