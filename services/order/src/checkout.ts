/**
 * The saga: from the state an order is in, the one step that takes it on. Each step asks a
 * participant, whose verdict is durable there first, and then moves the order; what it asked for
 * before a crash it asks again. docs/checkout.md has the crash points.
 */
import { CheckoutState } from "@piata/contracts/cart";
import { type Reservation, ReservationState } from "@piata/contracts/catalog";
import { PaymentState } from "@piata/contracts/payment";
import { type Code, Failure, isFailure } from "@piata/kit/errors";
import type { Log } from "@piata/kit/log";
import { backoffMs } from "@piata/kit/retry";
import { type Move, move, type Order, settle } from "./order.js";
import { orderLines, type Participants } from "./participants.js";

/** The part of the store that the saga needs. */
export interface Orders {
  /**
   * Writes a move, and answers with the order as it stands then; undefined when it was no longer in
   * the state it was to move from.
   */
  advance(move: Move): Promise<Order | undefined>;
  /** Puts an order off, so that any worker takes it up again after `delayMs`. */
  putOff(order: Order, delayMs: number): Promise<void>;
  /** Takes an order out of the workers' hands until somebody has looked at it. */
  setAside(order: Order, reason: string): Promise<void>;
}

export interface CheckoutOptions {
  orders: Orders;
  participants: Participants;
  log: Log;
  /** How long a payment may stay unknown before it is voided. */
  paymentLimitMs: number;
  now?: () => number;
  random?: () => number;
}

const RETRY_MS = 100;
const RETRY_MS_MAX = 4_000;
/** How often a step may fail for a reason that waiting does not mend. */
const TRIES_MAX = 8;

/** What time alone mends: somebody is away, busy, or was faster. */
const PASSING: ReadonlySet<Code> = new Set([
  "UNAVAILABLE",
  "DEADLINE_EXCEEDED",
  "RESOURCE_EXHAUSTED",
  "ABORTED",
]);

/** The answer is not there yet; the order is to be asked for again. */
const LATER = Symbol("later");

/** Takes orders from state to state until nothing is owed. */
export class Checkout {
  readonly #options: Required<CheckoutOptions>;

  constructor(options: CheckoutOptions) {
    this.#options = { now: Date.now, random: Math.random, ...options };
  }

  /**
   * Takes an order as far as it goes. It ends, is put off or set aside, or belongs to another
   * worker by now.
   */
  async run(order: Order): Promise<void> {
    const { orders } = this.#options;
    let current: Order | undefined = order;
    while (current?.open) {
      let next: Move | typeof LATER;
      try {
        next = await this.step(current);
      } catch (error) {
        return this.#failed(current, error);
      }
      if (next === LATER) return orders.putOff(current, retryMs(current, this.#options.random));
      current = await orders.advance(next);
    }
  }

  // No order waits behind a stuck one: it is put off for longer and longer, and a step that fails
  // again and again without hope is set aside, where people see it.
  async #failed(order: Order, error: unknown): Promise<void> {
    const { orders, log, random } = this.#options;
    const { id: orderId, traceId, tries } = order;
    const failure = error instanceof Failure ? error : undefined;
    const { code, reason } = failure ?? { code: "INTERNAL", reason: "INTERNAL" };
    if (failure && PASSING.has(failure.code)) {
      log.warn({ orderId, traceId, code, reason }, "put off");
    } else if (tries + 1 < TRIES_MAX) {
      log.error({ orderId, traceId, code, reason, err: error }, "a step failed");
    } else {
      log.error({ orderId, traceId, code, reason, err: error }, "set aside");
      return orders.setAside(order, reason);
    }
    return orders.putOff(order, retryMs(order, random));
  }

  /** What the state that the order is in asks for. */
  step(order: Order): Promise<Move | typeof LATER> {
    switch (order.state) {
      case "INTENT":
        return this.#resolveIntent(order);
      case "ABANDONED":
        return this.#giveBack(order);
      case "CREATED":
        return this.#reserve(order);
      case "APPROVED":
        return this.#collect(order);
      case "PAID":
        return this.#deliver(order);
      default:
        throw new Error(`Order ${order.id} is ${order.state} and owes nothing.`);
    }
  }

  // Nobody was told of an intent. If its cart was taken it goes on; if not it ends, for the
  // customer may have changed the cart since.
  async #resolveIntent(order: Order): Promise<Move> {
    const { state, lines } = await this.#options.participants.taken(order);
    if (state === CheckoutState.TAKEN) return move(order, "CREATED", { lines: orderLines(lines) });
    return move(order, "ABANDONED");
  }

  // Only now: whoever placed the order may be late, not dead, and take the cart in this moment. Its
  // order goes on if it wrote CREATED first, and a cart that was put back then would be bought
  // twice. The mark that stays keeps a take that is later still from taking anything.
  async #giveBack(order: Order): Promise<Move> {
    await this.#options.participants.restore(order);
    return settle(order);
  }

  async #reserve(order: Order): Promise<Move | typeof LATER> {
    const { participants } = this.#options;
    const { state, lines, total, refusalReason } = await this.#reservation(order);
    // Another worker took this order further meanwhile: only a paid one is sold.
    if (state === ReservationState.SOLD) return LATER;
    if (state === ReservationState.HELD && total) {
      const { amountMinor: totalMinor, currencyCode } = total;
      return move(order, "APPROVED", { lines, totalMinor, currencyCode });
    }
    await participants.restore(order);
    return move(order, "ITEMS_REJECTED", { reason: refusalReason });
  }

  // Lines that the catalog refuses to look at (a cart grows past its limits when orders are put
  // back into it) would be refused for ever: that is a verdict, too.
  async #reservation(order: Order): Promise<Reservation> {
    const { participants } = this.#options;
    try {
      return await participants.reserve(order);
    } catch (error) {
      if (!isFailure(error, "LINES_INVALID")) throw error;
      await participants.release(order);
      const state = ReservationState.RELEASED;
      return { state, lines: [], shortages: [], refusalReason: error.reason };
    }
  }

  async #collect(order: Order): Promise<Move | typeof LATER> {
    const { participants, now, paymentLimitMs } = this.#options;
    // Only a void gives the stock back: a charge that is under way may still succeed.
    const overdue = now() - (order.approvedAt?.getTime() ?? now()) > paymentLimitMs;
    const unwanted = order.cancelRequested || overdue;
    const payment = await (unwanted ? participants.void(order) : participants.charge(order));
    if (payment.state === PaymentState.CHARGED) return move(order, "PAID");
    if (payment.state !== PaymentState.DECLINED && payment.state !== PaymentState.VOID) {
      return LATER;
    }
    // Another worker asked for the void, and it knows why; the row says so when it is read again.
    if (payment.state === PaymentState.VOID && !unwanted) return LATER;
    await Promise.all([participants.release(order), participants.restore(order)]);
    const voided = order.cancelRequested ? "CANCELLED" : "PAYMENT_TIMEOUT";
    const reason = payment.state === PaymentState.VOID ? voided : payment.declineReason;
    return move(order, "PAYMENT_FAILED", { reason });
  }

  // PAID was written before the hold becomes a sale, so that no sale is without a paid order.
  async #deliver(order: Order): Promise<Move> {
    const { participants } = this.#options;
    await Promise.all([participants.sell(order), participants.forget(order)]);
    return settle(order);
  }
}

/** How long an order or a refund is put off. */
export const retryMs = ({ tries }: { tries: number }, random: () => number): number =>
  backoffMs(tries, { firstMs: RETRY_MS, maxMs: RETRY_MS_MAX }, random);
