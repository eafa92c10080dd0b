/**
 * Works through rows that are due. The rows are the queue: `claim` takes due ones under a lease, so
 * that any number of instances share them without a leader, and a row whose worker died is due
 * again when its lease runs out.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Log } from "./log.js";

export interface WorkerOptions<Job> {
  name: string;
  log: Log;
  /** Takes at most `limit` due jobs, so that no other worker takes them while the lease lasts. */
  claim(limit: number): Promise<Job[]>;
  /**
   * Takes a job as far as it goes. What it throws is logged; the lease decides when it is tried
   * again.
   */
  work(job: Job): Promise<void>;
  /** Jobs worked on at once. */
  jobsMax?: number;
  /** How long to rest between two claims. */
  idleMs?: number;
}

/** Claims due jobs and works on them until it is stopped. */
export class Worker<Job> {
  readonly #options: Required<WorkerOptions<Job>>;
  readonly #stop = new AbortController();
  #busy = 0;
  /** Told when nothing is being worked on; only at the end. */
  #whenIdle: (() => void) | undefined;
  readonly #loop: Promise<void>;

  constructor(options: WorkerOptions<Job>) {
    this.#options = { jobsMax: 500, idleMs: 200, ...options };
    this.#loop = this.#claimForever();
  }

  /** Jobs that are being worked on. */
  get busy(): number {
    return this.#busy;
  }

  /** Stops claiming and waits for what is being worked on. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    if (this.#busy === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve;
    });
  }

  /** Works on a job that its caller holds already. */
  start(job: Job): void {
    const { name, log, work } = this.#options;
    this.#busy += 1;
    // Within a promise from the start: what `work` throws at once is logged like the rest.
    void (async () => work(job))()
      .catch((error) => log.error({ err: error, worker: name }, "a job failed"))
      .finally(() => {
        this.#busy -= 1;
        if (this.#busy === 0) this.#whenIdle?.();
      });
  }

  async #claimForever(): Promise<void> {
    const { name, log, claim, jobsMax, idleMs } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const free = jobsMax - this.#busy;
      try {
        const jobs = free > 0 ? await claim(free) : [];
        for (const job of jobs) this.start(job);
      } catch (error) {
        log.warn({ reason: (error as Error).message, worker: name }, "could not claim jobs");
      }
      // In any case: fewer jobs than were asked for are all that was due.
      await pause(idleMs, undefined, { signal }).catch(() => undefined);
    }
  }
}
