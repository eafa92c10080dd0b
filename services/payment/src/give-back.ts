/**
 * The verb: gives money of a charged order back, once per refund key.
 *
 * As with charges, the row is written before the provider is asked and after it has answered, and
 * the refund's key at the provider decides. Other than a charge, a refund that is recorded is
 * finished even when nobody asks for it again: its row is due until its verdict is recorded.
 */
import type { Log } from "@piata/kit/log";
import { backoffMs } from "@piata/kit/retry";
import { Worker } from "@piata/kit/worker";
import { Attempts, LATE, within } from "./attempts.js";
import { keyOf } from "./payment.js";
import { type Provider, timeLimited } from "./provider.js";
import { conclude, type Refund, type RefundTerms, type RefundVerdict, refundId } from "./refund.js";
import type { RefundStore } from "./refund-store.js";

export interface RefundsOptions {
  store: RefundStore;
  provider: Provider;
  log: Log;
  /** How long a caller waits; afterwards the attempt goes on without it. */
  answerWithinMs: number;
  /** How long one call to the provider may take. */
  providerTimeoutMs: number;
  /** Refunds in flight at the provider. */
  attemptsMax: number;
}

const RETRY_MS = 200;
const RETRY_MS_MAX = 60_000;
const WORKER_JOBS_MAX = 100;
const WORKER_IDLE_MS = 300;
/** For what is around the two calls of an attempt: the statements, and a busy process. */
const LEASE_SLACK_MS = 1_000;

/** An attempt asks the provider what it knows, and then to refund. */
export const leaseMsFor = (providerTimeoutMs: number): number =>
  2 * providerTimeoutMs + LEASE_SLACK_MS;

export class Refunds {
  readonly #options: RefundsOptions;
  readonly #provider: Provider;
  readonly #attempts: Attempts<Refund>;
  readonly #worker: Worker<Refund>;

  constructor(options: RefundsOptions) {
    const { store, provider, log, providerTimeoutMs, attemptsMax } = options;
    this.#options = options;
    this.#provider = timeLimited(provider, providerTimeoutMs);
    this.#attempts = new Attempts(attemptsMax);
    this.#worker = new Worker<Refund>({
      name: "refunds",
      log,
      claim: (limit) => store.claim(limit),
      work: async (refund) => {
        await this.#goOn(refund);
      },
      jobsMax: WORKER_JOBS_MAX,
      idleMs: WORKER_IDLE_MS,
    });
  }

  /**
   * Refunds, or goes on with that. REFUNDING means not known yet: ask again, or leave it to the
   * worker.
   * Throws what RefundStore's `record` does.
   */
  async refund(terms: RefundTerms, traceId: string): Promise<Refund> {
    const answerBy = performance.now() + this.#options.answerWithinMs;
    const { refund, isNew } = await this.#options.store.record(terms);
    if (refund.state !== "REFUNDING") return refund;
    const attempt = isNew ? this.#begin(refund, traceId) : this.#goOn(refund, traceId);
    if (!attempt) return refund;
    const known = await within(Math.max(0, answerBy - performance.now()), attempt);
    return known === LATE ? refund : known;
  }

  /** Claims no more; waits for what is in flight, as long as a call to the provider may take. */
  async stop(): Promise<void> {
    const ended = this.#worker.stop().then(() => this.#attempts.ended());
    await within(this.#options.providerTimeoutMs, ended);
  }

  #begin(refund: Refund, traceId: string): Promise<Refund> | undefined {
    return this.#attempts.join(refundId(refund), () =>
      this.#untilKnown(refund, traceId, () => this.#give(refund)),
    );
  }

  /** An earlier attempt was cut off; the money may be back, so the provider is asked first. */
  #goOn(refund: Refund, traceId?: string): Promise<Refund> | undefined {
    return this.#attempts.join(refundId(refund), () =>
      this.#untilKnown(refund, traceId, async () => {
        const known = await this.#provider.findRefund(keyOf(refund), refund.refundKey);
        return known ?? this.#give(refund);
      }),
    );
  }

  #give(refund: Refund): Promise<RefundVerdict> {
    const { refundKey, amountMinor, currencyCode } = refund;
    return this.#provider.refund({ key: keyOf(refund), refundKey, amountMinor, currencyCode });
  }

  /** Asks the provider and records what it says; without an answer the refund is put off. */
  async #untilKnown(
    refund: Refund,
    traceId: string | undefined,
    ask: () => Promise<RefundVerdict>,
  ): Promise<Refund> {
    const { store, log } = this.#options;
    const { orderId, refundKey } = refund;
    try {
      const verdict = await ask();
      const standing = await store.settle(conclude(refund, verdict));
      if (standing.state !== verdict.state) {
        const states = { recorded: standing.state, now: verdict.state };
        const which = { orderId, refundKey, traceId };
        log.error({ ...which, ...states }, "the provider contradicts what it said before");
      }
      return standing;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      log.warn({ orderId, refundKey, traceId, why }, "the outcome of a refund is unknown");
      // When that fails as well, the lease runs out.
      await store.putOff(refund, delayMs(refund.tries)).catch(() => undefined);
      return refund;
    }
  }
}

/** How long a refund is put off. */
export const delayMs = (tries: number, random?: () => number): number =>
  backoffMs(tries, { firstMs: RETRY_MS, maxMs: RETRY_MS_MAX }, random);
