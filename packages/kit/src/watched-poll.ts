/** One poller for all who watch something that other instances write, too. */
import { setTimeout as pause } from "node:timers/promises";

/** The least time between two polls, however often it is asked for one. */
const POLL_MS_MIN = 20;

/** Somebody who is told. */
export interface Ending {
  /** Nothing more will come. */
  complete(): void;
}

export interface WatchedPollOptions {
  /** From one poll to the next, unless somebody asks for it sooner. */
  pollMs: number;
  /** Asks what is new and tells the watchers; what goes wrong is its own. */
  poll(startedMs: number): Promise<void>;
  /** Nobody watches any more. */
  idle?(): void;
  /** A monotonic clock, in ms. */
  now?(): number;
}

/** Those who watch, and the poller that runs while there are any. */
export class WatchedPoll<Watcher extends Ending> {
  /** The value says whether the watcher has heard anything yet. */
  readonly watchers = new Map<Watcher, boolean>();
  readonly #options: WatchedPollOptions;
  readonly #now: () => number;
  #polling: Promise<void> | undefined;
  #wake = new AbortController();
  #closed = false;

  constructor(options: WatchedPollOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Adds a watcher, for whom there is a poll at once. Returns how to stop that. */
  watch(watcher: Watcher): () => void {
    if (this.#closed) {
      watcher.complete();
      return () => undefined;
    }
    this.watchers.set(watcher, false);
    this.pollSoon();
    this.#polling ??= this.#poll();
    return () => {
      this.watchers.delete(watcher);
      if (this.watchers.size === 0) this.pollSoon();
    };
  }

  /** Has the watchers told at once; for what was written here. */
  pollSoon(): void {
    this.#wake.abort();
  }

  /** Ends these watches. */
  end(watchers: readonly Watcher[]): void {
    for (const watcher of watchers) {
      this.watchers.delete(watcher);
      watcher.complete();
    }
  }

  /** Ends every watch, now and from now on. */
  async close(): Promise<void> {
    this.#closed = true;
    this.end([...this.watchers.keys()]);
    this.pollSoon();
    await this.#polling;
  }

  async #poll(): Promise<void> {
    const { pollMs, poll, idle } = this.#options;
    while (this.watchers.size > 0) {
      const startedMs = this.#now();
      this.#wake = new AbortController();
      await poll(startedMs);
      const { signal } = this.#wake;
      const restMs = pollMs - (this.#now() - startedMs);
      await pause(Math.max(0, restMs), undefined, { signal }).catch(() => undefined);
      const leastMs = POLL_MS_MIN - (this.#now() - startedMs);
      if (this.watchers.size > 0 && leastMs > 0) await pause(leastMs);
    }
    idle?.();
    this.#polling = undefined;
  }
}
