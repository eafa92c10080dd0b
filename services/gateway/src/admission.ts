/**
 * Admission: the gateway takes as many requests at once as it can answer soon, and refuses the rest
 * before it has read them. A refusal costs a fraction of an answer, so that what was taken is still
 * answered in time when far more is asked for than can be done.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { type Failure, resourceExhausted } from "@piata/kit/errors";
import { InProgress, type Placed } from "@piata/kit/in-progress";
import type { Log } from "@piata/kit/log";
import type { Metrics } from "@piata/kit/metrics";
import { onceGone } from "./gone.js";
import { Refusals } from "./refusals.js";

/**
 * Requests that are begun in one turn of the event loop. Others wait for the next turn, so that
 * refusals are not held up by answers.
 */
const PER_TURN = 32;
/** What a refused client is asked to wait. */
const RETRY_AFTER_SECONDS = 1;

/**
 * Requests whose bodies are slow to come hold no place, up to so many times the places that there
 * are: who sends a byte now and then does not keep others out.
 */
const SLOW_TIMES_MAX = 4;

/** How often it looks for clients that are slow to read their answers. */
const READERS_CHECK_MS = 1_000;
/**
 * Of an answer that is on its way so much has to be taken in each time so long, or it is cut off.
 * What the kernel holds counts as taken, and it can hold megabytes: an answer that fits there is
 * never cut off, and a slow reader is found out by what comes after.
 */
const READING_MS = 5_000;
const READING_BYTES_MIN = 50_000;

export interface AdmissionOptions {
  /** Requests at once; one more is refused. */
  requestsMax: number;
  log: Log;
  metrics: Metrics;
}

/** A request that was taken, and where it counts until it is over. */
interface Taken extends Placed {
  request: IncomingMessage;
  response: ServerResponse;
  begin(): void;
  counts: "taken" | "slow" | undefined;
  /** Where its answer was when it was looked at: when, and how much the connection had sent. */
  reading: { sinceMs: number; sentBytes: number } | undefined;
}

/** What was taken and is not answered yet. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #open = new InProgress<Taken>();
  readonly #waiting: Taken[] = [];
  /** Those that were begun in this turn of the event loop. */
  #begun: Taken[] = [];
  readonly #counts = { taken: 0, slow: 0 };
  #scheduled = false;
  readonly #refusals: Refusals;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    const { log, metrics, requestsMax } = options;
    const line = "overloaded: requests were refused";
    const details = { requestsMax };
    setInterval(() => this.#checkReaders(), READERS_CHECK_MS).unref();
    this.#refusals = new Refusals({
      status: 503,
      failure: overloaded,
      line,
      details,
      log,
      metrics,
    });
  }

  /** A listener that gives `listener` what is admitted, and refuses the rest with HTTP 503. */
  guard(listener: RequestListener): RequestListener {
    return (request, response) => {
      if (this.#counts.taken >= this.#options.requestsMax) {
        return this.#refusals.refuse(request, response, {
          retryAfterSeconds: RETRY_AFTER_SECONDS,
        });
      }
      const begin = () => listener(request, response);
      const counts = undefined;
      const one: Taken = { request, response, begin, counts, reading: undefined, place: -1 };
      const { metrics } = this.#options;
      this.#count(one, "taken");
      this.#open.add(one);
      metrics.callsInProgress += 1;
      onceGone(request, response, () => {
        this.#count(one, undefined);
        this.#open.delete(one);
        metrics.callsInProgress -= 1;
      });
      this.#waiting.push(one);
      if (this.#begun.length < PER_TURN) this.#beginNext();
      else this.#schedule();
    };
  }

  #beginNext(): void {
    const next = this.#waiting.shift();
    if (!next) return;
    this.#begun.push(next);
    next.begin();
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const begun = this.#begun;
      this.#begun = [];
      for (const one of begun) if (!one.request.complete) this.#await(one);
      for (let left = Math.min(PER_TURN, this.#waiting.length); left > 0; left -= 1) {
        this.#beginNext();
      }
    });
  }

  // Most bodies come with their headers; this one did not.
  #await(one: Taken): void {
    if (!this.#makeSlow(one)) return;
    one.request.once("end", () => {
      if (one.counts === "slow") this.#count(one, "taken");
    });
  }

  #makeSlow(one: Taken): boolean {
    const slowMax = SLOW_TIMES_MAX * this.#options.requestsMax;
    if (one.counts !== "taken" || this.#counts.slow >= slowMax) return false;
    this.#count(one, "slow");
    return true;
  }

  // Who is served and does not read is slow, too.
  #checkReaders(): void {
    const nowMs = performance.now();
    for (const one of this.#open) {
      // One that waits for others of its connection has no socket yet.
      const { headersSent, socket } = one.response;
      if (!headersSent || !socket) continue;
      this.#makeSlow(one);
      const sentBytes = sentOf(socket);
      one.reading ??= { sinceMs: nowMs, sentBytes };
      if (nowMs - one.reading.sinceMs < READING_MS) continue;
      const isEnough = sentBytes - one.reading.sentBytes >= READING_BYTES_MIN;
      if (isEnough) one.reading = { sinceMs: nowMs, sentBytes };
      // A reset: what it does not read is not to wait in the kernel either.
      else socket.resetAndDestroy();
    }
  }

  #count(one: Taken, as: Taken["counts"]): void {
    if (one.counts) this.#counts[one.counts] -= 1;
    if (as) this.#counts[as] += 1;
    one.counts = as;
  }
}

const OVERLOADS = new Set([
  "OVERLOADED",
  "QUEUE_FULL",
  "TOO_MANY_ORDERS",
  "TOO_MANY_PASSWORD_CHECKS",
]);

/** What has left this program on a connection. */
const sentOf = ({ bytesWritten, writableLength }: Socket): number => bytesWritten - writableLength;

/** Too much of one user, account or address: the shop has time, but not for them. */
const LIMITS = new Set(["RATE_LIMITED", "TOO_MANY_FAILED_LOGINS"]);

export interface Wait {
  /** Of an answer that has nothing else in it. */
  status: 429 | 503;
  retryAfterSeconds: number;
}

/**
 * What a client is asked to wait for when fields were refused because there is too much to do, in
 * the shop or for one client; a quota is something else.
 */
export function waitOf(failures: readonly Failure[]): Wait | undefined {
  const passing = failures.filter(({ reason }) => OVERLOADS.has(reason) || LIMITS.has(reason));
  if (passing.length === 0) return undefined;
  const isOverloaded = passing.some(({ reason }) => OVERLOADS.has(reason));
  const seconds = passing.map(({ metadata }) => Number(metadata.retryAfterSeconds ?? 0) || 0);
  return {
    status: isOverloaded ? 503 : 429,
    retryAfterSeconds: Math.max(RETRY_AFTER_SECONDS, ...seconds.map(Math.ceil)),
  };
}

const overloaded = () =>
  resourceExhausted("OVERLOADED", "The shop is very busy; nothing was done. Try again soon.", {
    retryAfterSeconds: String(RETRY_AFTER_SECONDS),
  });
