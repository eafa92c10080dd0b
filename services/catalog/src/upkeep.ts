/** What goes on behind the calls: rows of changes that everybody has been told go. */
import type { Log } from "@piata/kit/log";

const SWEEP_MS = 60_000;

export interface UpkeepOptions {
  /** Deletes what was written before a transaction; answers with the one that is next. */
  deleteChanges(before?: string): Promise<string>;
  log: Log;
}

/** Deletes old changes until it is stopped. Every instance does, and each does what is left. */
export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #timer: NodeJS.Timeout;
  #sweeping: Promise<void>;
  /** Every transaction before it was over when the last sweep began. */
  #before: string | undefined;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    this.#sweeping = this.#sweep();
    this.#timer = setInterval(() => {
      this.#sweeping = this.#sweeping.then(() => this.#sweep());
    }, SWEEP_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#sweeping;
  }

  // Not by the age of a row alone: a transaction that took long has just been committed with rows
  // that were old already. What was over a minute ago every instance has seen since.
  async #sweep(): Promise<void> {
    const { deleteChanges, log } = this.#options;
    try {
      this.#before = await deleteChanges(this.#before);
    } catch (error) {
      log.warn({ reason: (error as Error).message }, "could not delete old changes");
    }
  }
}
