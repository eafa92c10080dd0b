/**
 * The line that a request has in the log. What failed or took long has one, always; of what went
 * well so many have one each second, and the next line tells how many had none. A line costs 5 µs,
 * a tenth of a quick answer.
 */
import type { Log } from "@piata/kit/log";

const SECOND_MS = 1_000;
/** What takes longer is looked for in the log. */
const LONG_MS = 500;

export interface RequestLine {
  /** What the client calls its operation. */
  operation: string | undefined;
  code: string;
  reason: string | undefined;
  durationMs: number;
  traceId: string;
}

export interface RequestLogOptions {
  log: Log;
  /** Lines of requests that went well, in a second. */
  linesPerSecond: number;
  /** A monotonic clock, in ms. */
  now?(): number;
}

export class RequestLog {
  readonly #log: Log;
  readonly #linesPerSecond: number;
  readonly #now: () => number;
  #secondEndsMs = Number.NEGATIVE_INFINITY;
  #lines = 0;
  /** Requests without a line since the last one that had one. */
  #unlogged = 0;

  constructor({ log, linesPerSecond, now = () => performance.now() }: RequestLogOptions) {
    this.#log = log;
    this.#linesPerSecond = linesPerSecond;
    this.#now = now;
  }

  write(line: RequestLine): void {
    if (line.code === "OK" && line.durationMs < LONG_MS && !this.#hasRoom()) {
      this.#unlogged += 1;
      return;
    }
    const unlogged = this.#unlogged > 0 ? { unlogged: this.#unlogged } : undefined;
    this.#unlogged = 0;
    this.#log.info({ ...line, ...unlogged }, "request");
  }

  #hasRoom(): boolean {
    const nowMs = this.#now();
    if (nowMs >= this.#secondEndsMs) {
      this.#secondEndsMs = nowMs + SECOND_MS;
      this.#lines = 0;
    }
    this.#lines += 1;
    return this.#lines <= this.#linesPerSecond;
  }
}
