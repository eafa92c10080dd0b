/**
 * What keeps a caller from making things worse: a budget for repeating calls, and a breaker for a
 * target that does not answer at all.
 */

const TOKENS_MAX = 20;
const TOKENS_PER_CALL = 0.1;

/**
 * One repeated call for ten calls, and twenty in a burst: enough for an instance that dies, too
 * little to multiply the load of a service that is overloaded.
 */
export class RetryBudget {
  #tokens = TOKENS_MAX;

  get left(): boolean {
    return this.#tokens >= 1;
  }

  called(): void {
    this.#tokens = Math.min(TOKENS_MAX, this.#tokens + TOKENS_PER_CALL);
  }

  retried(): void {
    this.#tokens -= 1;
  }
}

/** Failures in a row, of all the instances together, after which it opens. */
const FAILURES = 5;
/** While it is open, one call is let through as often as this. */
const PROBE_MS = 500;

/**
 * Refuses calls to a target that has not answered the last ones, so that callers are answered at
 * once and the target is left alone; one call now and then finds out whether it is back.
 */
export class Breaker {
  readonly #now: () => number;
  #failures = 0;
  #probeAtMs = 0;

  /** `now` is a clock in milliseconds that never goes back. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get isOpen(): boolean {
    return this.#failures >= FAILURES;
  }

  /** Whether a call may be made now; while it is open, the one that may is the probe. */
  admits(): boolean {
    if (!this.isOpen) return true;
    if (this.#now() < this.#probeAtMs) return false;
    this.#probeAtMs = this.#now() + PROBE_MS;
    return true;
  }

  answered(): void {
    this.#failures = 0;
  }

  failed(): void {
    this.#failures += 1;
    if (this.#failures === FAILURES) this.#probeAtMs = this.#now() + PROBE_MS;
  }
}
