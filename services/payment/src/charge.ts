/**
 * The verb: takes the money for an order, or makes sure that nobody ever does, once.
 *
 * The row says what this service knows, the provider what is true. The row is written before the
 * provider is asked and after it has answered; whatever dies, repeats or races in between, the
 * order's key at the provider decides, and one conditional update records every verdict.
 */
import { failedPrecondition } from "@piata/kit/errors";
import type { Log } from "@piata/kit/log";
import { Attempts, LATE, within } from "./attempts.js";
import {
  charging,
  keyOf,
  move,
  type Payment,
  sameTerms,
  type Terms,
  tombstone,
} from "./payment.js";
import { type Provider, timeLimited } from "./provider.js";
import type { PaymentStore } from "./store.js";

export interface PaymentsOptions {
  store: PaymentStore;
  provider: Provider;
  log: Log;
  /** How long a caller waits; afterwards the attempt goes on without it. */
  answerWithinMs: number;
  /** How long one call to the provider may take. */
  providerTimeoutMs: number;
  /** Charges in flight at the provider, and likewise cancellations. */
  attemptsMax: number;
}

/** Charges and voids, each order once. */
export class Payments {
  readonly #options: PaymentsOptions;
  readonly #provider: Provider;
  readonly #charges: Attempts<Payment>;
  // Apart from the charges: a provider that answers none of them must still be asked to cancel.
  readonly #cancellations: Attempts<Payment>;

  constructor(options: PaymentsOptions) {
    this.#options = options;
    this.#provider = timeLimited(options.provider, options.providerTimeoutMs);
    this.#charges = new Attempts(options.attemptsMax);
    this.#cancellations = new Attempts(options.attemptsMax);
  }

  /**
   * Charges an order, or goes on with that. CHARGING means not known yet: ask again.
   * Throws FAILED_PRECONDITION / PAYMENT_MISMATCH.
   */
  async charge(terms: Terms, traceId: string): Promise<Payment> {
    const answerBy = performance.now() + this.#options.answerWithinMs;
    const { orderId } = terms;
    const { payment, isNew } = await this.#options.store.place(charging(terms));
    if (payment.state === "VOID") return payment;
    if (!sameTerms(payment, terms)) throw mismatch(orderId);
    if (payment.state !== "CHARGING") return payment;
    const attempt = this.#charges.join(orderId, () =>
      this.#untilKnown(payment, traceId, () =>
        isNew ? this.#take(payment) : this.#goOnTaking(payment),
      ),
    );
    return attempt ? this.#inTime(answerBy, attempt, payment) : payment;
  }

  /** Makes sure that an order is never charged, unless it is. CHARGING means: ask again. */
  async void(orderId: number, traceId: string): Promise<Payment> {
    const answerBy = performance.now() + this.#options.answerWithinMs;
    const { payment } = await this.#options.store.place(tombstone(orderId));
    if (payment.state !== "CHARGING") return payment;
    const attempt = this.#cancellations.join(orderId, () =>
      this.#untilKnown(payment, traceId, () => this.#provider.cancel(keyOf(payment))),
    );
    return attempt ? this.#inTime(answerBy, attempt, payment) : payment;
  }

  /** Waits for what is in flight, for as long as one call to the provider may take. */
  async stop(): Promise<void> {
    const ended = Promise.all([this.#charges.ended(), this.#cancellations.ended()]);
    await within(this.#options.providerTimeoutMs, ended);
  }

  #take(payment: Payment) {
    const { amountMinor, currencyCode, paymentMethod: method } = payment;
    return this.#provider.charge({ key: keyOf(payment), amountMinor, currencyCode, method });
  }

  /** An earlier attempt was cut off; the money may be taken, so the provider is asked first. */
  async #goOnTaking(payment: Payment) {
    return (await this.#provider.find(keyOf(payment))) ?? this.#take(payment);
  }

  /** Asks the provider and records what it says; without an answer the payment stays CHARGING. */
  async #untilKnown(
    payment: Payment,
    traceId: string,
    ask: () => ReturnType<Provider["charge"]>,
  ): Promise<Payment> {
    const { store, log } = this.#options;
    const { orderId } = payment;
    try {
      const { state, declineReason } = await ask();
      const standing = await store.settle(move(payment, state, declineReason));
      if (standing.state !== state) {
        const states = { recorded: standing.state, now: state };
        log.error({ orderId, traceId, ...states }, "the provider contradicts what it said before");
      }
      return standing;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      log.warn({ orderId, traceId, why }, "the outcome of an attempt is unknown");
      return payment;
    }
  }

  async #inTime(answerBy: number, attempt: Promise<Payment>, meanwhile: Payment): Promise<Payment> {
    const payment = await within(Math.max(0, answerBy - performance.now()), attempt);
    return payment === LATE ? meanwhile : payment;
  }
}

const mismatch = (orderId: number) =>
  failedPrecondition(
    "PAYMENT_MISMATCH",
    `Order ${orderId} was charged with another amount, currency or payment method.`,
    { orderId: String(orderId) },
  );
