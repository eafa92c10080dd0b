/**
 * Tells watchers which sessions have ended, on whatever instance they ended.
 *
 * One poller for all watchers asks the database, only while there are watchers. Each answer is
 * sent, also an empty one: it says that up to now nothing else ended. When the database does not
 * answer, nothing is sent, and a watcher knows that it may no longer trust what it remembers.
 */
import type { Log } from "@piata/kit/log";
import { WatchedPoll } from "@piata/kit/watched-poll";

const POLL_MS = 250;
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
  /** Each watcher has first to hear everything from the beginning. */
  readonly #poll = new WatchedPoll<Watcher>({
    pollMs: POLL_MS,
    poll: (startedMs) => this.#tryToTell(startedMs),
  });
  /** When the last poll began that was answered, in ms of the monotonic clock. */
  #knownMs = Number.NEGATIVE_INFINITY;
  #failing = false;

  constructor(options: RevocationsOptions) {
    this.#options = options;
  }

  /** Tells of all ends that still matter, then of each soon after it. Returns how to stop that. */
  watch(watcher: Watcher): () => void {
    return this.#poll.watch(watcher);
  }

  /** Has the watchers told at once; for a session that ended here. */
  pollSoon(): void {
    this.#poll.pollSoon();
  }

  /** Ends every watch. */
  close(): Promise<void> {
    return this.#poll.close();
  }

  async #tryToTell(startedMs: number): Promise<void> {
    try {
      await this.#tellAll(startedMs);
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) {
        this.#options.log.warn({ reason: (error as Error).message }, "revocations are unknown");
      }
      this.#failing = true;
    }
  }

  async #tellAll(startedMs: number): Promise<void> {
    const { findEnded, relevantSeconds } = this.#options;
    const { watchers } = this.#poll;
    const asking = [...watchers];
    const sinceSeconds = (startedMs - this.#knownMs) / 1_000 + OVERLAP_SECONDS;
    const someAreNew = asking.some(([, following]) => !following);
    const ended = await findEnded(
      someAreNew ? relevantSeconds : Math.min(sinceSeconds, relevantSeconds),
    );
    if (performance.now() - startedMs > POLL_MS_MAX) throw new Error("the answer came too late");
    this.#knownMs = startedMs;
    for (const [watcher] of asking) {
      if (!watchers.has(watcher)) continue;
      watchers.set(watcher, true);
      watcher.next(ended);
    }
  }
}
