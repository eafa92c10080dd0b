/** Orders: placing them, and how they go on. */
import { type Order, OrderServiceService, OrderState } from "@piata/contracts/order";
import { batched } from "@piata/kit/batch";
import { invalidArgument } from "@piata/kit/errors";
import type { Metrics } from "@piata/kit/metrics";
import type { Channel } from "@piata/kit/rpc-client";
import { checkedId } from "@piata/kit/validate";
import { toMoney } from "./catalog.js";
import { type PageArguments, pageRequest } from "./page.js";
import type { GraphqlContext } from "./request.js";

interface InitOrderArguments {
  paymentMethod?: string | null;
  idempotencyKey?: string | null;
  expectedTotalMinor?: number | null;
}

export function order(channel: Channel, metrics: Metrics) {
  const rpc = channel.client(OrderServiceService);
  const placeOrder = batched(rpc.batchPlaceOrders, { name: "gateway.place_order", metrics });
  const getOrder = batched(rpc.batchGetOrders, { name: "gateway.order", metrics });

  const resolvers = {
    Query: {
      orderStatus: async (
        _: unknown,
        { orderId }: { orderId: number },
        context: GraphqlContext,
      ) => {
        const item = { orderId: checkedId(orderId, "orderId") };
        const { order: found } = await getOrder(await context.signedIn(), item);
        const { state, reason } = found as Order;
        return { value: OrderState[state], reason: reason || null };
      },
      orders: async (_: unknown, page: PageArguments, context: GraphqlContext) => {
        const asked = pageRequest(page);
        const caller = await context.signedIn();
        const { orders, nextPageToken } = await rpc.listOrders(
          { ...asked, context: caller },
          caller,
        );
        return { items: orders.map(toGraphql), nextCursor: nextPageToken || null };
      },
    },
    Mutation: {
      initOrder: async (_: unknown, wish: InitOrderArguments, context: GraphqlContext) => {
        const { paymentMethod, expectedTotalMinor } = wish;
        if (expectedTotalMinor != null && !Number.isSafeInteger(expectedTotalMinor)) {
          throw invalidArgument(
            "EXPECTED_TOTAL_INVALID",
            "expectedTotalMinor must be a whole number of minor units, 0 or more.",
            { field: "expectedTotalMinor" },
          );
        }
        const header = context.request.headers["idempotency-key"];
        const item = {
          paymentMethod: paymentMethod ?? "",
          idempotencyKey: wish.idempotencyKey ?? (typeof header === "string" ? header : ""),
          expectedTotalMinor: expectedTotalMinor ?? undefined,
        };
        const { orderId } = await placeOrder(await context.signedIn(), item);
        return { orderId };
      },
    },
  };
  return { resolvers };
}

function toGraphql({ id, state, reason, lines, total, createdAt }: Order) {
  const currency = total?.currencyCode;
  return {
    id,
    status: OrderState[state],
    reason: reason || null,
    lines: lines.map(({ productId, quantity, unitPriceMinor }) => ({
      productId,
      quantity,
      unitPrice:
        currency === undefined || unitPriceMinor === undefined
          ? null
          : { amountMinor: unitPriceMinor, currency },
    })),
    total: total ? toMoney(total) : null,
    createdAt: (createdAt as Date).toISOString(),
  };
}
