/** What goes on behind the calls: deleted users' carts are erased, expired rows go. */
import { type Context, ownContext } from "@piata/kit/context";
import { isFailure } from "@piata/kit/errors";
import type { Log } from "@piata/kit/log";
import { Worker } from "@piata/kit/worker";
import type { GuessStore } from "./guess-store.js";
import type { SessionStore } from "./session-store.js";
import type { AccessStore } from "./store.js";

const ERASE_TIMEOUT_MS = 3_000;
const ERASE_IDLE_MS = 500;
const ERASURES_AT_ONCE = 100;
const SWEEP_MS = 900_000;
const SWEEP_ROWS_MAX = 5_000;

export interface UpkeepOptions {
  users: AccessStore;
  sessions: SessionStore;
  guesses: GuessStore;
  /** Erases what the cart service keeps about the context's user; harmless when repeated. */
  eraseCart(context: Context): Promise<unknown>;
  log: Log;
}

/** Erases the carts of deleted users, and rows that have expired. */
export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #worker: Worker<number>;
  readonly #timer: NodeJS.Timeout;
  #sweeping: Promise<void>;
  #stopped = false;

  constructor(options: UpkeepOptions) {
    const { users, log } = options;
    this.#options = options;
    this.#worker = new Worker<number>({
      name: "erase carts",
      log,
      claim: (limit) => users.claimErasures(limit),
      work: (userId) => this.#erase(userId),
      jobsMax: ERASURES_AT_ONCE,
      idleMs: ERASE_IDLE_MS,
    });
    this.#sweeping = this.#sweep();
    this.#timer = setInterval(() => {
      this.#sweeping = this.#sweep();
    }, SWEEP_MS);
  }

  /** Erases the cart of a user whose erasure was just written, and is leased to its writer. */
  eraseNow(userId: number): void {
    this.#worker.start(userId);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await Promise.all([this.#worker.stop(), this.#sweeping]);
  }

  async #erase(userId: number): Promise<void> {
    const { users, eraseCart, log } = this.#options;
    try {
      await eraseCart(ownContext(ERASE_TIMEOUT_MS, userId));
    } catch (error) {
      await users.postponeErasure(userId);
      if (!isFailure(error)) throw error;
      log.warn({ reason: error.reason, userId }, "a cart is not erased yet");
      return;
    }
    await users.finishErasure(userId);
  }

  /** Deletes bounded slices, one after the other, so that no statement holds many rows for long. */
  async #sweep(): Promise<void> {
    const { sessions, guesses, log } = this.#options;
    const rows = SWEEP_ROWS_MAX;
    try {
      while (!this.#stopped && (await sessions.deleteExpired(rows)) >= rows);
      while (!this.#stopped && (await guesses.deleteOld(rows)) >= rows);
    } catch (error) {
      log.warn({ reason: (error as Error).message }, "could not delete expired rows");
    }
  }
}
