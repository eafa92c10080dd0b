/** When to try again, and how often at most. */

const TOKENS_MAX = 20;
const TOKENS_PER_CALL = 0.1;

/**
 * One repeated call for ten calls, and twenty in a burst: enough for an instance that dies, too
 * little to multiply the load of a service that is overloaded.
 */
export class RetryBudget {
  #tokens = TOKENS_MAX;

  /** Whether a call may be repeated now. */
  get mayRetry(): boolean {
    return this.#tokens >= 1;
  }

  called(): void {
    this.#tokens = Math.min(TOKENS_MAX, this.#tokens + TOKENS_PER_CALL);
  }

  retried(): void {
    this.#tokens -= 1;
  }
}

/**
 * How long to put off what was put off `tries` times before: doubling, with jitter, so that what
 * failed together does not come back together.
 */
export function backoffMs(
  tries: number,
  { firstMs, maxMs }: { firstMs: number; maxMs: number },
  random: () => number = Math.random,
): number {
  const ceilingMs = Math.min(maxMs, firstMs * 2 ** Math.min(tries, 20));
  return Math.round((ceilingMs * (1 + random())) / 2);
}
