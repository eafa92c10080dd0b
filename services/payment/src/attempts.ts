/** Work that may take long: shared by those who ask for the same, bounded, awaited only so long. */

/** What `within` answers when the time is over. */
export const LATE = Symbol("late");

/** What the work comes to, or LATE when it takes longer than `timeoutMs`; it goes on then. */
export async function within<Result>(
  timeoutMs: number,
  work: Promise<Result>,
): Promise<Result | typeof LATE> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<typeof LATE>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, LATE);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What is attempted: an order, or one of its refunds. */
type Key = number | string;

/** Attempts in flight, at most one per key. */
export class Attempts<Result> {
  readonly #attemptsMax: number;
  readonly #inFlight = new Map<Key, Promise<Result>>();

  constructor(attemptsMax: number) {
    this.#attemptsMax = attemptsMax;
  }

  /** The key's attempt: the one there is, or a new one. Undefined when there are too many. */
  join(key: Key, attempt: () => Promise<Result>): Promise<Result> | undefined {
    const running = this.#inFlight.get(key);
    if (running || this.#inFlight.size >= this.#attemptsMax) return running;
    const started = attempt().finally(() => this.#inFlight.delete(key));
    this.#inFlight.set(key, started);
    return started;
  }

  /** Resolves when those that are in flight now have ended, however they end. */
  async ended(): Promise<void> {
    await Promise.allSettled(this.#inFlight.values());
  }
}
