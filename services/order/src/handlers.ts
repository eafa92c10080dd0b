/** The order service's RPCs: whose order it is, what is well-formed, and the way in. */
import { Controller, Inject } from "@nestjs/common";
import { GrpcMethod } from "@nestjs/microservices";
import * as rpc from "@piata/contracts/order";
import { answerEach } from "@piata/kit/batch";
import { signedIn } from "@piata/kit/context";
import { Failure, notFound } from "@piata/kit/errors";
import type { Handlers } from "@piata/kit/rpc-server";
import { checkedId, checkedPage, pageToken } from "@piata/kit/validate";
import type { Order } from "./order.js";
import { Place } from "./place.js";
import { OrderStore } from "./store.js";
import { checkedWish } from "./wish.js";

@Controller()
export class OrderHandlers implements Handlers<rpc.OrderServiceService> {
  readonly #store: OrderStore;
  readonly #place: Place;

  constructor(@Inject(OrderStore) store: OrderStore, @Inject(Place) place: Place) {
    this.#store = store;
    this.#place = place;
  }

  @GrpcMethod("OrderService")
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

  @GrpcMethod("OrderService")
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

  @GrpcMethod("OrderService")
  async listOrders(request: rpc.ListOrdersRequest): Promise<rpc.ListOrdersResponse> {
    const userId = signedIn(request.context);
    const { limit, from } = checkedPage(request.pageSize, request.pageToken);
    const orders = await this.#store.listOrders(userId, from, limit + 1);
    const page = orders.slice(0, limit);
    const last = page.at(-1);
    return {
      orders: page.map(toProto),
      nextPageToken: last && orders.length > limit ? pageToken(last.id) : "",
    };
  }
}

const orderNotFound = (orderId: number): Failure =>
  notFound("ORDER_NOT_FOUND", `There is no order ${orderId} of yours.`, {
    orderId: String(orderId),
  });

function toProto(order: Order): rpc.Order {
  const { id, state, reason, lines, totalMinor, currencyCode, createdAt } = order;
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
  };
}
