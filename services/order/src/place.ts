/**
 * Placing an order: the cart's lines become an order's, once. The order is written as an intent
 * before the cart is touched, so that a crash at any line leaves either a cart or an order, and
 * never neither.
 */
import { setTimeout as pause } from "node:timers/promises";
import { CheckoutState } from "@piata/contracts/cart";
import { type Context, ownContext } from "@piata/kit/context";
import {
  aborted,
  deadlineExceeded,
  Failure,
  failedPrecondition,
  internal,
  resourceExhausted,
} from "@piata/kit/errors";
import type { Log } from "@piata/kit/log";
import { inSpan } from "@piata/kit/tracing";
import type { Worker } from "@piata/kit/worker";
import type { Checkout } from "./checkout.js";
import { move, type Order } from "./order.js";
import { orderLines, type Participants } from "./participants.js";
import type { FirstAnswer, OrderStore } from "./store.js";
import { argumentsOf, type Wish } from "./wish.js";

const CALL_MS = 3_000;
const KEY_POLL_MS = 25;
const KEY_PATIENCE_MS = 2_500;

export interface PlaceOptions {
  store: Pick<
    OrderStore,
    "placeIntent" | "advance" | "findOrders" | "findLastOrderId" | "keepFailure" | "findFirstAnswer"
  >;
  participants: Participants;
  checkout: Checkout;
  worker: Pick<Worker<Order>, "busy" | "start">;
  log: Log;
  /** Orders that the worker may have before more are refused. */
  openMax: number;
}

/** Turns wishes into orders. */
export class Place {
  readonly #options: PlaceOptions;

  constructor(options: PlaceOptions) {
    this.#options = options;
  }

  /** Places each wish; what one fails with is its own. */
  placeAll(wishes: Wish[]): Promise<(number | Failure)[]> {
    return Promise.all(
      wishes.map(async (wish) => {
        try {
          return await inSpan("place order", wish, () => this.place(wish));
        } catch (error) {
          if (error instanceof Failure) return error;
          this.#options.log.error({ err: error, traceId: wish.traceId }, "placing an order failed");
          return internal();
        }
      }),
    );
  }

  /**
   * The id of the order that the wish's cart became, durably. Throws FAILED_PRECONDITION /
   * CART_EMPTY, IDEMPOTENCY_KEY_REUSED; ABORTED / IDEMPOTENCY_KEY_IN_USE, ORDER_ABANDONED;
   * RESOURCE_EXHAUSTED / TOO_MANY_ORDERS; DEADLINE_EXCEEDED / DEADLINE; UNAVAILABLE.
   */
  async place(wish: Wish): Promise<number> {
    const { store, participants, worker, openMax } = this.#options;
    if (worker.busy >= openMax) throw tooManyOrders();
    const cart = await participants.cartOf(contextOf(wish));
    if (cart.lines.length === 0) return this.#cartEmpty(wish);
    // From here on the order goes its way, whether or not anybody waits for the answer.
    if (Date.now() >= wish.deadlineMs) throw tooLate();

    const placed = await store.placeIntent(wish);
    if (placed.orderId === undefined) return this.#firstAnswer(wish);
    const order = intent(placed.orderId, wish);

    const { state, lines } = await participants.take(order);
    if (state !== CheckoutState.TAKEN) {
      await this.#options.checkout.run(order);
      // Nothing was there for it, because another order took the cart in between; or it was too
      // late.
      if (state === CheckoutState.EMPTY) return this.#cartEmpty(wish);
      throw abandoned();
    }
    const created = await store.advance(move(order, "CREATED", { lines: orderLines(lines) }));
    if (created) worker.start(created);
    else await this.#takenOver(order);
    return order.id;
  }

  // The lease ran out before the lines were written, and another worker resolved the intent.
  async #takenOver(order: Order): Promise<void> {
    const { store, participants } = this.#options;
    if ((await store.findOrders([order.id])).has(order.id)) return;
    // The cart may have been taken after that; it is back before the customer is told so.
    await participants.restore(order);
    throw abandoned();
  }

  /** An empty cart is an answer, too: the key keeps it, or has kept another one. */
  async #cartEmpty(wish: Wish): Promise<number> {
    const { store } = this.#options;
    const lastOrderId = await store.findLastOrderId(wish.userId);
    const failure = cartEmpty(lastOrderId);
    if (wish.idempotencyKey === "" || (await store.keepFailure(wish, failure))) throw failure;
    return this.#firstAnswer(wish);
  }

  async #firstAnswer(wish: Wish): Promise<number> {
    const givenUpMs = Math.min(Date.now() + KEY_PATIENCE_MS, wish.deadlineMs);
    while (Date.now() < givenUpMs) {
      const answer = await this.#options.store.findFirstAnswer(wish);
      if (answer) {
        const orderId = answered(wish, answer);
        if (orderId !== undefined) return orderId;
      }
      await pause(KEY_POLL_MS);
    }
    throw aborted(
      "IDEMPOTENCY_KEY_IN_USE",
      "The first call with this idempotencyKey is not answered yet; ask again.",
      { field: "idempotencyKey" },
    );
  }
}

const tooManyOrders = (): Failure =>
  resourceExhausted("TOO_MANY_ORDERS", "The shop is very busy; nothing was ordered. Try again.");

const tooLate = (): Failure =>
  deadlineExceeded("DEADLINE", "The cart was not there in time; nothing was ordered.");

const abandoned = (): Failure =>
  aborted("ORDER_ABANDONED", "It took too long; the cart is as it was. Try again.");

/** The first answer to the key; undefined while it is not there. Throws it when it is a failure. */
function answered(wish: Wish, answer: FirstAnswer): number | undefined {
  if (answer.arguments !== argumentsOf(wish)) {
    throw failedPrecondition(
      "IDEMPOTENCY_KEY_REUSED",
      "This idempotencyKey came with other arguments before; use a new one.",
      { field: "idempotencyKey" },
    );
  }
  if (answer.failure) {
    const { code, reason, message, metadata } = answer.failure;
    throw new Failure(code, reason, message, metadata);
  }
  const unknown = answer.state === "INTENT" || answer.state === "ABANDONED";
  return unknown ? undefined : (answer.orderId ?? undefined);
}

const contextOf = ({ userId, passport, traceId, deadlineMs }: Wish): Context => ({
  ...ownContext(Math.min(CALL_MS, deadlineMs - Date.now()), userId, traceId),
  passport,
});

const intent = (id: number, wish: Wish): Order => ({
  id,
  userId: wish.userId,
  state: "INTENT",
  reason: "",
  paymentMethod: wish.paymentMethod,
  expectedTotalMinor: wish.expectedTotalMinor ?? null,
  lines: [],
  totalMinor: null,
  currencyCode: null,
  traceId: wish.traceId,
  approvedAt: null,
  cancelRequested: false,
  refundedMinor: 0,
  setAsideReason: "",
  tries: 0,
  open: true,
  createdAt: new Date(),
});

function cartEmpty(lastOrderId: number | undefined): Failure {
  if (lastOrderId === undefined) {
    return failedPrecondition("CART_EMPTY", "The cart is empty; add a product first.");
  }
  return failedPrecondition(
    "CART_EMPTY",
    `The cart is empty. Your last order is ${lastOrderId}: it may be the one you want.`,
    { lastOrderId: String(lastOrderId) },
  );
}
