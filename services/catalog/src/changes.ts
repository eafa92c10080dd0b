/**
 * Tells watchers what has changed, on whatever instance it was written.
 *
 * One poller for all watchers asks the database, only while there are watchers, and at once after a
 * write of this instance. When the database does not answer, nothing is sent, and a watcher knows
 * that it may no longer use what it keeps. When changes may have been missed, every watch is ended:
 * who watches again begins with nothing.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Log } from "@piata/kit/log";
import type { Change, Found } from "./change-store.js";

const POLL_MS = 100;
/** The least time between two polls, however much is written here. */
const POLL_MS_MIN = 20;
/** How long a watcher hears nothing at most while all is well. */
const HEARTBEAT_MS = 200;
/** What took longer to answer no longer says what is true now; the next poll finds it again. */
const LATE_MS = 500;
/**
 * Rows are kept for a minute at least. An instance that did not look for so long, by its own clock
 * or by the database's, may have missed some, and this is well before that.
 */
const AWAY_MS_MAX = 5_000;

export interface ChangesOptions {
  /** What was committed and not seen by an earlier snapshot. */
  findChanges(since?: string): Promise<Found>;
  log: Log;
  /** A monotonic clock, in ms. */
  now?(): number;
}

export interface Watcher {
  /** What has changed; nothing, when nothing has. */
  next(change: Change): void;
  /** Nothing more will come; something may have been missed. */
  complete(): void;
}

/** Tells watchers what has changed. */
export class Changes {
  readonly #options: ChangesOptions;
  readonly #now: () => number;
  /** The value says whether the watcher has heard anything yet. */
  readonly #watchers = new Map<Watcher, boolean>();
  #polling: Promise<void> | undefined;
  #wake = new AbortController();
  /** What the last poll saw, and when it began. */
  #seen: { found: Found; sinceMs: number } | undefined;
  #toldMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: ChangesOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /**
   * Tells of each change that is committed after its first message. Returns how to stop that.
   */
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

  /** Has the watchers told at once; for what was written here. */
  pollSoon(): void {
    this.#wake.abort();
  }

  /** Ends every watch. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#end([...this.#watchers.keys()]);
    this.pollSoon();
    await this.#polling;
  }

  async #poll(): Promise<void> {
    while (this.#watchers.size > 0) {
      const startedMs = this.#now();
      this.#wake = new AbortController();
      try {
        this.#told(await this.#options.findChanges(this.#seen?.found.snapshot), startedMs);
      } catch (error) {
        this.#beginAnew((error as Error).message);
      }
      const { signal } = this.#wake;
      const restMs = POLL_MS - (this.#now() - startedMs);
      await pause(Math.max(0, restMs), undefined, { signal }).catch(() => undefined);
      const leastMs = POLL_MS_MIN - (this.#now() - startedMs);
      if (this.#watchers.size > 0 && leastMs > 0) await pause(leastMs);
    }
    this.#seen = undefined;
    this.#polling = undefined;
  }

  #told(found: Found, startedMs: number): void {
    if (this.#now() - startedMs > LATE_MS) return;
    const seen = this.#seen;
    this.#seen = { found, sinceMs: startedMs };
    if (seen && wasAway(seen, this.#seen)) {
      this.#beginAnew("this instance was away for too long");
      return;
    }
    const { productIds, categories } = found;
    const isNews = productIds.length > 0 || categories;
    const isDue = isNews || this.#now() - this.#toldMs >= HEARTBEAT_MS - POLL_MS / 2;
    if (isDue) this.#toldMs = this.#now();
    for (const [watcher, heard] of this.#watchers) {
      if (heard && !isDue) continue;
      this.#watchers.set(watcher, true);
      watcher.next({ productIds, categories });
    }
  }

  // A database that failed may be another one when it answers again, without the last transactions
  // and with their numbers free: no snapshot of the old one says anything about it.
  #beginAnew(reason: string): void {
    this.#seen = undefined;
    const told = [...this.#watchers].flatMap(([watcher, heard]) => (heard ? [watcher] : []));
    if (told.length === 0) return;
    this.#options.log.warn({ reason, watchers: told.length }, "changes may have been missed");
    this.#end(told);
  }

  #end(watchers: Watcher[]): void {
    for (const watcher of watchers) {
      this.#watchers.delete(watcher);
      watcher.complete();
    }
  }
}

type Seen = { found: Found; sinceMs: number };

function wasAway(before: Seen, now: Seen): boolean {
  const databaseMs = now.found.databaseMs - before.found.databaseMs;
  return now.sinceMs - before.sinceMs > AWAY_MS_MAX || databaseMs > AWAY_MS_MAX || databaseMs < 0;
}
