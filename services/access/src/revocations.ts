/**
 * Tells watchers which sessions have ended, on whatever instance they ended.
 *
 * One poller for all watchers asks the database, only while there are watchers. Each answer is
 * sent, also an empty one: it says that up to now nothing else ended. When the database does not
 * answer, nothing is sent, and a watcher knows that it may no longer trust what it remembers.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Log } from "@piata/kit/log";

const POLL_MS = 250;
/** The least time between two polls, however many sessions end here. */
const POLL_MS_MIN = 20;
/** What took longer to answer no longer says what is true now. */
const POLL_MS_MAX = 500;
/** Commits become visible out of order: each poll looks back over the last ones again. */
const OVERLAP_SECONDS = 2;

export interface RevocationsOptions {
  /** The sessions that ended within the last seconds. */
  findEnded(seconds: number): Promise<string[]>;
  /** How long after its session's end an access token could still be within its time. */
  relevantSeconds: number;
  log: Log;
}

export interface Watcher {
  /** Sessions that have ended; some are named again. */
  next(sessionIds: string[]): void;
  /** Nothing more will come. */
  complete(): void;
}

/** Tells watchers which sessions have ended. */
export class Revocations {
  readonly #options: RevocationsOptions;
  /** The value says whether the watcher has had everything from the beginning. */
  readonly #watchers = new Map<Watcher, boolean>();
  #polling: Promise<void> | undefined;
  #wake = new AbortController();
  /** When the last poll began that was answered, in ms of the monotonic clock. */
  #knownMs = Number.NEGATIVE_INFINITY;
  #failing = false;
  #closed = false;

  constructor(options: RevocationsOptions) {
    this.#options = options;
  }

  /** Tells of all ends that still matter, then of each soon after it. Returns how to stop that. */
  watch(watcher: Watcher): () => void {
    if (this.#closed) {
      watcher.complete();
      return () => undefined;
    }
    this.#watchers.set(watcher, false);
    this.pollSoon();
    this.#polling ??= this.#poll();
    return () => {
      this.#watchers.delete(watcher);
      if (this.#watchers.size === 0) this.pollSoon();
    };
  }

  /** Has the watchers told at once; for a session that ended here. */
  pollSoon(): void {
    this.#wake.abort();
  }

  /** Ends every watch. */
  async close(): Promise<void> {
    this.#closed = true;
    const watchers = [...this.#watchers.keys()];
    this.#watchers.clear();
    for (const watcher of watchers) watcher.complete();
    this.pollSoon();
    await this.#polling;
  }

  async #poll(): Promise<void> {
    while (this.#watchers.size > 0) {
      const startedMs = performance.now();
      this.#wake = new AbortController();
      try {
        await this.#tellAll(startedMs);
        this.#failing = false;
      } catch (error) {
        if (!this.#failing) {
          this.#options.log.warn({ reason: (error as Error).message }, "revocations are unknown");
        }
        this.#failing = true;
      }
      const { signal } = this.#wake;
      const restMs = POLL_MS - (performance.now() - startedMs);
      await pause(Math.max(0, restMs), undefined, { signal }).catch(() => undefined);
      const leastMs = POLL_MS_MIN - (performance.now() - startedMs);
      if (this.#watchers.size > 0 && leastMs > 0) await pause(leastMs);
    }
    this.#polling = undefined;
  }

  async #tellAll(startedMs: number): Promise<void> {
    const { findEnded, relevantSeconds } = this.#options;
    const asking = [...this.#watchers];
    const sinceSeconds = (startedMs - this.#knownMs) / 1_000 + OVERLAP_SECONDS;
    const someAreNew = asking.some(([, following]) => !following);
    const ended = await findEnded(
      someAreNew ? relevantSeconds : Math.min(sinceSeconds, relevantSeconds),
    );
    if (performance.now() - startedMs > POLL_MS_MAX) throw new Error("the answer came too late");
    this.#knownMs = startedMs;
    for (const [watcher] of asking) {
      if (!this.#watchers.has(watcher)) continue;
      this.#watchers.set(watcher, true);
      watcher.next(ended);
    }
  }
}
