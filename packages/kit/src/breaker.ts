/** A breaker: a target that does not answer at all is left alone for a moment. */

/** Failures in a row, of all the instances together, after which it opens. */
const FAILURES = 5;
/** While it is open, one call is let through as often as this. */
const PROBE_MS = 500;

/**
 * Refuses calls to a target none of whose instances has answered the last ones, so that callers are
 * answered at once and the target is left alone; one call now and then finds out whether it is back.
 */
export class Breaker {
  readonly #now: () => number;
  /** Who has failed since anybody answered. */
  readonly #failed = new Set<string>();
  #failures = 0;
  #isOpen = false;
  #probeAtMs = 0;

  /** `now` is a clock in milliseconds that never goes back. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Whether a call may be made now; while it is open, the one that may is the probe. */
  admits(): boolean {
    if (!this.#isOpen) return true;
    if (this.#now() < this.#probeAtMs) return false;
    this.#probeAtMs = this.#now() + PROBE_MS;
    return true;
  }

  answered(): void {
    this.#failures = 0;
    this.#isOpen = false;
    this.#failed.clear();
  }

  /**
   * A call was not answered: by one of the instances, or without any that could be connected to. The
   * death of one alone, with many calls under way, says nothing of the others.
   */
  failed(instance: string | undefined, instances: readonly string[]): void {
    this.#failures += 1;
    if (instance !== undefined) this.#failed.add(instance);
    const isAll = instance === undefined || instances.every((one) => this.#failed.has(one));
    if (this.#isOpen || this.#failures < FAILURES || !isAll) return;
    this.#isOpen = true;
    this.#probeAtMs = this.#now() + PROBE_MS;
  }
}
