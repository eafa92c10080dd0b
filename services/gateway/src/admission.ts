/**
 * Admission: the gateway takes as many requests at once as it can answer soon, and refuses the rest
 * before it has read them. A refusal costs a fraction of an answer, so that what was taken is still
 * answered in time when far more is asked for than can be done.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { newTraceId } from "@piata/kit/context";
import { type Failure, resourceExhausted } from "@piata/kit/errors";
import type { Log } from "@piata/kit/log";
import type { Metrics } from "@piata/kit/metrics";
import { errorAnswer } from "./errors.js";
import { onceGone } from "./gone.js";

/**
 * Requests that are begun in one turn of the event loop. Others wait for the next turn, so that
 * refusals are not held up by answers.
 */
const PER_TURN = 32;
/** What a refused client is asked to wait, in seconds. */
export const RETRY_AFTER = "1";
/** Refusals of so long a time have one trace id, one line in the log and one text. */
const SPELL_MS = 1_000;

/**
 * Requests whose bodies are slow to come hold no place, up to so many times the places that there
 * are: who sends a byte now and then does not keep others out.
 */
const SLOW_TIMES_MAX = 4;

export interface AdmissionOptions {
  /** Requests at once; one more is refused. */
  requestsMax: number;
  log: Log;
  metrics: Metrics;
}

/** A request that was taken, and where it counts until it is over. */
interface Taken {
  request: IncomingMessage;
  begin(): void;
  counts: "taken" | "slow" | undefined;
}

/** What was taken and is not answered yet. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #waiting: Taken[] = [];
  /** Those that were begun in this turn of the event loop. */
  #begun: Taken[] = [];
  readonly #counts = { taken: 0, slow: 0 };
  #scheduled = false;
  #spell: Spell | undefined;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** A listener that gives `listener` what is admitted, and refuses the rest with HTTP 503. */
  guard(listener: RequestListener): RequestListener {
    return (request, response) => {
      if (this.#counts.taken >= this.#options.requestsMax) return this.#refuse(request, response);
      const one: Taken = { request, begin: () => listener(request, response), counts: undefined };
      const { metrics } = this.#options;
      this.#count(one, "taken");
      metrics.callsInProgress += 1;
      onceGone(request, response, () => {
        this.#count(one, undefined);
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
    const slowMax = SLOW_TIMES_MAX * this.#options.requestsMax;
    if (one.counts !== "taken" || this.#counts.slow >= slowMax) return;
    this.#count(one, "slow");
    one.request.once("end", () => {
      if (one.counts === "slow") this.#count(one, "taken");
    });
  }

  #count(one: Taken, as: Taken["counts"]): void {
    if (one.counts) this.#counts[one.counts] -= 1;
    if (as) this.#counts[as] += 1;
    one.counts = as;
  }

  #refuse({ method }: IncomingMessage, response: ServerResponse): void {
    this.#spell ??= this.#beginSpell();
    this.#spell.refused += 1;
    const { headers, body } = this.#spell;
    response.sendDate = false;
    response.writeHead(503, headers);
    response.end(method === "HEAD" ? undefined : body);
  }

  #beginSpell(): Spell {
    const spell = newSpell();
    setTimeout(() => {
      this.#spell = undefined;
      const { log, metrics, requestsMax } = this.#options;
      const { refused, traceId } = spell;
      metrics.answerUntimed("graphql", "RESOURCE_EXHAUSTED", refused);
      log.warn({ refused, requestsMax, traceId }, "overloaded: requests were refused");
    }, SPELL_MS).unref();
    return spell;
  }
}

/** What refusals of one spell have in common: to make each anew would cost more than to send it. */
interface Spell {
  traceId: string;
  headers: string[];
  body: Buffer;
  refused: number;
}

function newSpell(): Spell {
  const traceId = newTraceId();
  const body = Buffer.from(JSON.stringify({ errors: [errorAnswer(overloaded(), traceId)] }));
  const headers = [
    ["content-type", "application/json; charset=utf-8"],
    ["content-length", String(body.length)],
    ["retry-after", RETRY_AFTER],
    ["cache-control", "no-store"],
    ["x-trace-id", traceId],
  ].flat();
  return { traceId, headers, body, refused: 0 };
}

const OVERLOADS = new Set([
  "OVERLOADED",
  "QUEUE_FULL",
  "TOO_MANY_ORDERS",
  "TOO_MANY_PASSWORD_CHECKS",
]);

/** True for what a part of the shop says that has too much to do; a quota is something else. */
export const isOverload = ({ reason }: Failure): boolean => OVERLOADS.has(reason);

const overloaded = () =>
  resourceExhausted("OVERLOADED", "The shop is very busy; nothing was done. Try again soon.", {
    retryAfterSeconds: RETRY_AFTER,
  });
