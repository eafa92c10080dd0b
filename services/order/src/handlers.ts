/** The order service's RPCs: whose order it is, what is well-formed, and the way in. */
import { Controller, Inject } from "@nestjs/common";
import * as rpc from "@piata/contracts/order";
import { answerEach } from "@piata/kit/batch";
import { signedIn, staff } from "@piata/kit/context";
import { Failure, failedPrecondition } from "@piata/kit/errors";
import { forUsers, Rpc } from "@piata/kit/permission";
import type { Handlers } from "@piata/kit/rpc-server";
import { checkedId, checkedPage, pageToken } from "@piata/kit/validate";
import type { Worker } from "@piata/kit/worker";
import type { Order } from "./order.js";
import { Place } from "./place.js";
import { checkedRefund, type RefundJob } from "./refund.js";
import { orderNotFound, RefundStore } from "./refund-store.js";
import { OrderStore } from "./store.js";
import { checkedWish } from "./wish.js";

/** What works on the refunds that are promised here. */
export const REFUND_WORKER = Symbol("Worker<RefundJob>");

/** Serves piata.order.v1.OrderService. */
@Controller()
export class OrderHandlers implements Handlers<rpc.OrderServiceService> {
  readonly #store: OrderStore;
  readonly #place: Place;
  readonly #refunds: RefundStore;
  readonly #refundWorker: Worker<RefundJob>;

  constructor(
    @Inject(OrderStore) store: OrderStore,
    @Inject(Place) place: Place,
    @Inject(RefundStore) refunds: RefundStore,
    @Inject(REFUND_WORKER) refundWorker: Worker<RefundJob>,
  ) {
    this.#store = store;
    this.#place = place;
    this.#refunds = refunds;
    this.#refundWorker = refundWorker;
  }

  @Rpc("OrderService", forUsers)
  async batchPlaceOrders({
    items,
  }: rpc.BatchPlaceOrdersRequest): Promise<rpc.BatchPlaceOrdersResponse> {
    const results = await answerEach(items, checkedWish, async (wishes) =>
      (await this.#place.placeAll(wishes)).map((placed) =>
        placed instanceof Failure ? placed : { orderId: placed },
      ),
    );
    return { results: results.map((result) => ({ orderId: 0, ...result })) };
  }

  @Rpc("OrderService", forUsers)
  async batchGetOrders({ items }: rpc.BatchGetOrdersRequest): Promise<rpc.BatchGetOrdersResponse> {
    const results = await answerEach(
      items,
      ({ context, orderId }) => ({
        userId: signedIn(context),
        orderId: checkedId(orderId, "orderId"),
      }),
      async (asked) => {
        const orders = await this.#store.findOrders(asked.map(({ orderId }) => orderId));
        return asked.map(({ userId, orderId }) => {
          const order = orders.get(orderId);
          // Another user's order is as unknown as one that does not exist.
          return order?.userId === userId ? { order: toProto(order) } : orderNotFound(orderId);
        });
      },
    );
    return { results };
  }

  @Rpc("OrderService", forUsers)
  async listOrders(request: rpc.ListOrdersRequest): Promise<rpc.ListOrdersResponse> {
    const userId = signedIn(request.context);
    const { limit, from } = checkedPage(request.pageSize, request.pageToken);
    const orders = await this.#store.listOrders(userId, from, limit + 1);
    return toPage(orders, limit);
  }

  @Rpc("OrderService", forUsers)
  async cancelOrder({
    context,
    orderId,
  }: rpc.CancelOrderRequest): Promise<rpc.CancelOrderResponse> {
    const userId = signedIn(context);
    checkedId(orderId, "orderId");
    const requested = await this.#store.requestCancel(orderId, userId);
    if (requested) return { order: toProto(requested) };
    const order = (await this.#store.findOrders([orderId])).get(orderId);
    if (order?.userId !== userId) throw orderNotFound(orderId);
    return { order: toProto(cancelled(order)) };
  }

  @Rpc("OrderService", forUsers)
  async refundOrder(request: rpc.RefundOrderRequest): Promise<rpc.RefundOrderResponse> {
    staff(request.context);
    const { orderId, amountMinor, refundKey } = request;
    checkedId(orderId, "orderId");
    const traceId = request.context?.traceId ?? "";
    const wish = checkedRefund({ orderId, amountMinor, refundKey, traceId });
    const job = await this.#refunds.request(wish);
    if (job) this.#refundWorker.start(job);
    const order = (await this.#store.findOrders([orderId])).get(orderId);
    if (!order) throw orderNotFound(orderId);
    return { order: toProto(order) };
  }

  @Rpc("OrderService", forUsers)
  async listSetAsideOrders(
    request: rpc.ListSetAsideOrdersRequest,
  ): Promise<rpc.ListSetAsideOrdersResponse> {
    staff(request.context);
    const { limit, from } = checkedPage(request.pageSize, request.pageToken);
    const orders = await this.#store.listSetAside(from, limit + 1);
    return toPage(orders, limit);
  }

  @Rpc("OrderService", forUsers)
  async retryOrder({ context, orderId }: rpc.RetryOrderRequest): Promise<rpc.RetryOrderResponse> {
    staff(context);
    checkedId(orderId, "orderId");
    const order = await this.#store.retry(orderId);
    if (!order) throw orderNotFound(orderId);
    return { order: toProto(order) };
  }
}

/** An order that was undone before; anything else that is over cannot be. */
function cancelled(order: Order): Order {
  const { id, state, reason } = order;
  if (state === "PAYMENT_FAILED" && reason === "CANCELLED") return order;
  const metadata = { orderId: String(id), state };
  throw state === "PAID"
    ? failedPrecondition("ORDER_PAID", `Order ${id} is paid; ask the shop to refund it.`, metadata)
    : failedPrecondition("ORDER_FAILED", `Order ${id} has failed; nothing is to cancel.`, metadata);
}

function toPage(orders: Order[], limit: number) {
  const page = orders.slice(0, limit);
  const last = page.at(-1);
  return {
    orders: page.map(toProto),
    nextPageToken: last && orders.length > limit ? pageToken(last.id) : "",
  };
}

function toProto(order: Order): rpc.Order {
  const { id, state, reason, lines, totalMinor, currencyCode, createdAt } = order;
  const { refundedMinor, setAsideReason } = order;
  const total =
    totalMinor === null || currencyCode === null
      ? undefined
      : { amountMinor: totalMinor, currencyCode };
  return {
    id,
    state: rpc.OrderState[state as keyof typeof rpc.OrderState],
    reason,
    lines,
    total,
    createdAt,
    refundedMinor,
    setAsideReason,
  };
}
