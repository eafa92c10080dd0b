/**
 * Tells watchers what has changed, on whatever instance it was written.
 *
 * One poller for all watchers asks the database, only while there are watchers, and at once after a
 * write of this instance. When the database does not answer, nothing is sent, and a watcher knows
 * that it may no longer use what it keeps. When changes may have been missed, every watch is ended:
 * who watches again begins with nothing.
 */
import type { Log } from "@piata/kit/log";
import { WatchedPoll } from "@piata/kit/watched-poll";
import type { Change, Found } from "./change-store.js";

const POLL_MS = 100;
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
  readonly #poll: WatchedPoll<Watcher>;
  /** What the last poll saw, and when it began. */
  #seen: { found: Found; sinceMs: number } | undefined;
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(options: ChangesOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#poll = new WatchedPoll({
      pollMs: POLL_MS,
      poll: (startedMs) => this.#tellAll(startedMs),
      idle: () => {
        this.#seen = undefined;
      },
      now: this.#now,
    });
  }

  /**
   * Tells of each change that is committed after its first message. Returns how to stop that.
   */
  watch(watcher: Watcher): () => void {
    return this.#poll.watch(watcher);
  }

  /** Has the watchers told at once; for what was written here. */
  pollSoon(): void {
    this.#poll.pollSoon();
  }

  /** Ends every watch. */
  close(): Promise<void> {
    return this.#poll.close();
  }

  async #tellAll(startedMs: number): Promise<void> {
    try {
      this.#told(await this.#options.findChanges(this.#seen?.found.snapshot), startedMs);
    } catch (error) {
      this.#beginAnew((error as Error).message);
    }
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
    const { watchers } = this.#poll;
    for (const [watcher, heard] of watchers) {
      if (heard && !isDue) continue;
      watchers.set(watcher, true);
      watcher.next({ productIds, categories });
    }
  }

  // A database that failed may be another one when it answers again, without the last transactions
  // and with their numbers free: no snapshot of the old one says anything about it.
  #beginAnew(reason: string): void {
    this.#seen = undefined;
    const told = [...this.#poll.watchers].flatMap(([watcher, heard]) => (heard ? [watcher] : []));
    if (told.length === 0) return;
    this.#options.log.warn({ reason, watchers: told.length }, "changes may have been missed");
    this.#poll.end(told);
  }
}

type Seen = { found: Found; sinceMs: number };

function wasAway(before: Seen, now: Seen): boolean {
  const databaseMs = now.found.databaseMs - before.found.databaseMs;
  return now.sinceMs - before.sinceMs > AWAY_MS_MAX || databaseMs > AWAY_MS_MAX || databaseMs < 0;
}
