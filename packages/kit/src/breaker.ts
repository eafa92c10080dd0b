/** A breaker: a target that does not answer at all is left alone for a moment. */

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

  /** Whether a call may be made now; while it is open, the one that may is the probe. */
  admits(): boolean {
    if (this.#failures < FAILURES) return true;
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
