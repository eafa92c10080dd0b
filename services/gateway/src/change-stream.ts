/** Follows a stream of what changes, and knows whether it is still to be believed. */
import { setTimeout as pause } from "node:timers/promises";
import type { Log } from "@piata/kit/log";
import type { ServerStream } from "@piata/kit/rpc-client";

/** A stream that has said nothing for as long may have lost something. */
const TRUST_MS = 1_000;
const CHECK_MS = 250;
const AGAIN_MS = 100;

export interface ChangeStreamOptions<Change> {
  /** What it tells of, for the log. */
  of: string;
  /** Begins with what a reader has to know, and is never silent for long. */
  watch: ServerStream<object, Change>;
  /** Told of each change. */
  changed(change: Change): void;
  /** The stream has ended or is silent: anything may have changed. */
  lost?(): void;
  log: Log;
  /** A monotonic clock, in ms. */
  now?: (() => number) | undefined;
}

/** A stream of changes, opened again whenever it is lost. */
export class ChangeStream<Change> {
  readonly #options: ChangeStreamOptions<Change>;
  readonly #now: () => number;
  readonly #following: Promise<void>;
  /** Ends the stream that is open. */
  #stream = new AbortController();
  /** When the open stream last said something. */
  #heardMs: number | undefined;
  #closed = false;

  constructor(options: ChangeStreamOptions<Change>) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#following = this.#follow();
  }

  /** Whether everything that changed until a moment ago has been told. */
  get isLive(): boolean {
    return this.#heardMs !== undefined && this.#now() - this.#heardMs < TRUST_MS;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stream.abort();
    await this.#following;
  }

  async #follow(): Promise<void> {
    const { of, log, lost } = this.#options;
    while (!this.#closed) {
      const reason = await this.#followOne().catch((error: Error) => error.message);
      // One that never began is a service that is away, of which others speak.
      const isLoss = this.#heardMs !== undefined && !this.#closed;
      if (isLoss) log.warn({ reason }, `lost the stream of ${of}`);
      this.#heardMs = undefined;
      lost?.();
      if (!this.#closed) await pause(AGAIN_MS);
    }
  }

  /** Answers with why the stream is over. */
  async #followOne(): Promise<string> {
    this.#stream = new AbortController();
    const { signal } = this.#stream;
    const openedMs = this.#now();
    // One that is silent is given up, as another instance may speak.
    const watchdog = setInterval(() => {
      if (this.#now() - (this.#heardMs ?? openedMs) >= TRUST_MS) this.#stream.abort();
    }, CHECK_MS);
    try {
      for await (const change of this.#options.watch({}, signal)) {
        // What comes after a silence may be as old as that, with more behind it on its way.
        if (this.#heardMs !== undefined && !this.isLive) break;
        this.#options.changed(change);
        this.#heardMs = this.#now();
      }
      return this.isLive ? "it ended" : "it was silent";
    } finally {
      clearInterval(watchdog);
    }
  }
}
