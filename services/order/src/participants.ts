/**
 * What an order asks of its neighbours; every call is keyed by the order id and harmless when
 * repeated.
 */
import type { BatchTakeResponse_Result } from "@piata/contracts/cart";
import { type Cart, CartServiceService, type Line } from "@piata/contracts/cart";
import { CatalogServiceService, type Reservation } from "@piata/contracts/catalog";
import { type Payment, PaymentServiceService } from "@piata/contracts/payment";
import { batched } from "@piata/kit/batch";
import { type Context, ownContext } from "@piata/kit/context";
import { internal } from "@piata/kit/errors";
import type { Metrics } from "@piata/kit/metrics";
import type { Channel } from "@piata/kit/rpc-client";
import type { Order } from "./order.js";
import type { Refunder } from "./refund.js";

/** The saga's neighbours, one call each. */
export interface Participants {
  cartOf(context: Context): Promise<Cart>;
  /** Takes the cart aside for the order. */
  take(order: Order): Promise<BatchTakeResponse_Result>;
  /** Asks whether the cart was taken, without taking it. */
  taken(order: Order): Promise<BatchTakeResponse_Result>;
  restore(order: Order): Promise<void>;
  forget(order: Order): Promise<void>;
  reserve(order: Order): Promise<Reservation>;
  sell(order: Order): Promise<void>;
  release(order: Order): Promise<void>;
  charge(order: Order): Promise<Payment>;
  void(order: Order): Promise<Payment>;
}

export interface Channels {
  cart: Channel;
  catalog: Channel;
  payment: Channel;
}

// Less than the usual lease, so that a worker hears of a lost call while the order is still its
// own; one that does not is late, which harms nothing.
const CALL_MS = 3_000;

// The order is PAID by then, and its customer waits for none of it: larger batches cost less.
const LAST_STEPS = { lingerMs: 100 };

const contextOf = (order: Order): Context => ownContext(CALL_MS, order.userId, order.traceId);

export function participants(channels: Channels, metrics: Metrics): Participants & Refunder {
  const cart = channels.cart.client(CartServiceService);
  const catalog = channels.catalog.client(CatalogServiceService);
  const payment = channels.payment.client(PaymentServiceService);
  const getCart = batched(cart.batchGetCarts, { name: "order.get_cart", metrics });
  const take = batched(cart.batchTake, { name: "order.take", metrics });
  const restore = batched(cart.batchRestore, { name: "order.restore", metrics });
  const forget = batched(cart.batchForget, { name: "order.forget", metrics, ...LAST_STEPS });
  const reserve = batched(catalog.batchReserve, { name: "order.reserve", metrics });
  const sell = batched(catalog.batchSell, { name: "order.sell", metrics, ...LAST_STEPS });
  const release = batched(catalog.batchRelease, { name: "order.release", metrics });
  const charge = batched(payment.batchCharge, { name: "order.charge", metrics });
  const refund = batched(payment.batchRefund, { name: "order.refund", metrics });
  const voidPayment = batched(payment.batchVoid, { name: "order.void", metrics });

  return {
    cartOf: async (context) => present((await getCart(context, {})).cart),
    take: (order) => take(contextOf(order), { orderId: order.id, peek: false }),
    taken: (order) => take(contextOf(order), { orderId: order.id, peek: true }),
    restore: async (order) => {
      await restore(contextOf(order), { orderId: order.id });
    },
    forget: async (order) => {
      await forget(contextOf(order), { orderId: order.id });
    },
    reserve: async (order) => {
      const { id, lines, expectedTotalMinor } = order;
      const item = {
        orderId: id,
        lines: lines.map(({ productId, quantity }) => ({ productId, quantity })),
        expectedTotalMinor: expectedTotalMinor ?? undefined,
      };
      return present((await reserve(contextOf(order), item)).reservation);
    },
    sell: async (order) => {
      await sell(contextOf(order), { orderId: order.id });
    },
    release: async (order) => {
      await release(contextOf(order), { orderId: order.id });
    },
    charge: async (order) => {
      const { id, totalMinor, currencyCode, paymentMethod } = order;
      const item = {
        orderId: id,
        amount: { amountMinor: present(totalMinor), currencyCode: present(currencyCode) },
        paymentMethod,
      };
      return present((await charge(contextOf(order), item)).payment);
    },
    refund: async ({ orderId, refundKey, amountMinor, currencyCode, traceId }) => {
      const item = { orderId, refundKey, amount: { amountMinor, currencyCode } };
      return present((await refund(ownContext(CALL_MS, 0, traceId), item)).refund);
    },
    void: async (order) =>
      present((await voidPayment(contextOf(order), { orderId: order.id })).payment),
  };
}

/** What a well-formed answer, or an order in the state at hand, always has. */
function present<Value>(value: Value | null | undefined): Value {
  if (value === null || value === undefined) throw internal();
  return value;
}

/** The lines of a taken cart as those of an order whose prices are not known yet. */
export const orderLines = (lines: Line[]) =>
  lines.map(({ productId, quantity }) => ({ productId, quantity }));
