/**
 * Rate limits. Each key has a bucket of `max` requests that refills evenly over the period, kept as
 * the one number of the generic cell rate algorithm: when the bucket will be full again. They are
 * this instance's own.
 */
import { setBounded } from "@piata/kit/bounded-map";
import { type Failure, resourceExhausted } from "@piata/kit/errors";
import type { HeaderFields } from "./arrival.js";

/** Keys that are counted at once; more than that many clients at a time push the oldest out. */
const KEYS_MAX = 100_000;
/** How often buckets that are full again are forgotten, at most. */
const SWEEP_MS = 60_000;

export interface RateLimitOptions {
  /** Requests of one key in a period, and at once. */
  max: number;
  periodMs: number;
  keysMax?: number;
  /** A monotonic clock, in ms. */
  now?(): number;
}

/** What a key has left. */
export interface Quota {
  limit: number;
  remaining: number;
  /** Until all of it is there again. */
  resetSeconds: number;
  /** 0 when the request was counted and may go on; it was not counted otherwise. */
  retryAfterSeconds: number;
}

export class RateLimit {
  readonly #max: number;
  readonly #periodMs: number;
  readonly #intervalMs: number;
  readonly #keysMax: number;
  readonly #now: () => number;
  /** When each key's bucket is full. */
  readonly #fullMs = new Map<string | number, number>();
  #sweepMs: number;

  constructor({
    max,
    periodMs,
    keysMax = KEYS_MAX,
    now = () => performance.now(),
  }: RateLimitOptions) {
    this.#max = max;
    this.#periodMs = periodMs;
    this.#intervalMs = periodMs / max;
    this.#keysMax = keysMax;
    this.#now = now;
    this.#sweepMs = now() + SWEEP_MS;
  }

  /** Counts a request, if there is room for it. */
  take(key: string | number): Quota {
    const nowMs = this.#now();
    if (nowMs >= this.#sweepMs) this.#sweep(nowMs);
    const known = this.#fullMs.get(key);
    const usedMs = Math.max(0, (known ?? nowMs) - nowMs) + this.#intervalMs;
    // Sums of fractions of a millisecond are not exact.
    const overMs = usedMs - this.#periodMs - 1e-3;
    if (overMs > 0) return this.#quota(usedMs - this.#intervalMs, overMs);
    setBounded(this.#fullMs, [key, nowMs + usedMs], this.#keysMax);
    return this.#quota(usedMs, 0);
  }

  /** How many keys it remembers. */
  get size(): number {
    return this.#fullMs.size;
  }

  #quota(usedMs: number, waitMs: number): Quota {
    return {
      limit: this.#max,
      remaining: Math.max(0, Math.floor((this.#periodMs - usedMs + 1e-3) / this.#intervalMs)),
      resetSeconds: Math.ceil(usedMs / 1_000),
      retryAfterSeconds: Math.ceil(waitMs / 1_000),
    };
  }

  #sweep(nowMs: number): void {
    this.#sweepMs = nowMs + SWEEP_MS;
    for (const [key, fullMs] of this.#fullMs) if (fullMs <= nowMs) this.#fullMs.delete(key);
  }
}

/** Somebody asks for more than their share; nothing was done. */
export const rateLimited = (retryAfterSeconds: number): Failure =>
  resourceExhausted("RATE_LIMITED", `Too many requests: wait for ${retryAfterSeconds} s.`, {
    retryAfterSeconds: String(retryAfterSeconds),
  });

/** The header fields of draft-ietf-httpapi-ratelimit-headers that most clients read. */
export const quotaHeaders = ({ limit, remaining, resetSeconds }: Quota): HeaderFields => ({
  "ratelimit-limit": String(limit),
  "ratelimit-remaining": String(remaining),
  "ratelimit-reset": String(resetSeconds),
});
