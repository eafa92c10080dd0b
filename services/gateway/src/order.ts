/** Orders: placing them, and how they go on. */
import { type Order, OrderServiceService, OrderState } from "@piata/contracts/order";
import { batched } from "@piata/kit/batch";
import { invalidArgument } from "@piata/kit/errors";
import type { Metrics } from "@piata/kit/metrics";
import type { Channel } from "@piata/kit/rpc-client";
import { checkedId } from "@piata/kit/validate";
import { toMoney } from "./catalog.js";
import { naming } from "./errors.js";
import type { GraphqlContext } from "./graphql-context.js";
import { PAGE_FIELDS, type PageArguments, pageRequest } from "./page.js";

interface RefundArguments {
  input: { orderId: number; amountMinor?: number | null; refundKey: string };
}

interface InitOrderArguments {
  paymentMethod?: string | null;
  idempotencyKey?: string | null;
  expectedTotalMinor?: number | null;
}

/** The resolvers of orders. */
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
        return toStatus(found as Order);
      },
      setAsideOrders: async (_: unknown, page: PageArguments, context: GraphqlContext) => {
        const asked = pageRequest(page);
        const caller = await context.signedIn();
        return toPage(await naming(PAGE_FIELDS, rpc.listSetAsideOrders(asked, caller)));
      },
      orders: async (_: unknown, page: PageArguments, context: GraphqlContext) => {
        const asked = pageRequest(page);
        const caller = await context.signedIn();
        return toPage(await naming(PAGE_FIELDS, rpc.listOrders(asked, caller)));
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
        const item = {
          paymentMethod: paymentMethod ?? "",
          idempotencyKey: keyOf(wish, context),
          expectedTotalMinor: expectedTotalMinor ?? undefined,
        };
        const { orderId } = await placeOrder(await context.signedIn(), item);
        return { orderId };
      },
      cancelOrder: async (_: unknown, asked: { orderId: number }, context: GraphqlContext) => {
        const orderId = checkedId(asked.orderId, "orderId");
        const caller = await context.signedIn();
        const { order: found } = await rpc.cancelOrder({ orderId }, caller);
        return toStatus(found as Order);
      },
      refundOrder: async (_: unknown, { input }: RefundArguments, context: GraphqlContext) => {
        const { refundKey, amountMinor } = input;
        const orderId = checkedId(input.orderId, "orderId");
        // 0 is the service's word for all that is left.
        if (amountMinor != null && !(Number.isSafeInteger(amountMinor) && amountMinor > 0)) {
          throw invalidArgument("AMOUNT_INVALID", "amountMinor must be a whole number above 0.", {
            field: "amountMinor",
          });
        }
        const caller = await context.signedIn();
        const request = { orderId, refundKey, amountMinor: amountMinor ?? 0 };
        return toGraphql((await rpc.refundOrder(request, caller)).order as Order);
      },
      retryOrder: async (_: unknown, asked: { orderId: number }, context: GraphqlContext) => {
        const orderId = checkedId(asked.orderId, "orderId");
        const caller = await context.signedIn();
        return toGraphql((await rpc.retryOrder({ orderId }, caller)).order as Order);
      },
    },
  };
  return { resolvers };
}

/** The argument, or else the header; a client that sends an empty key believes itself safe. */
function keyOf({ idempotencyKey }: InitOrderArguments, { request }: GraphqlContext): string {
  const key = idempotencyKey ?? request.headers["idempotency-key"];
  if (key === undefined) return "";
  if (typeof key === "string" && key !== "") return key;
  throw invalidArgument(
    "IDEMPOTENCY_KEY_INVALID",
    "idempotencyKey must have 1 to 100 visible ASCII characters; leave it out for none.",
    { field: "idempotencyKey" },
  );
}

const toStatus = ({ state, reason }: Order) => ({
  value: OrderState[state],
  reason: reason || null,
});

const toPage = ({ orders, nextPageToken }: { orders: Order[]; nextPageToken: string }) => ({
  items: orders.map(toGraphql),
  nextCursor: nextPageToken || null,
});

function toGraphql(order: Order) {
  const { id, state, reason, lines, total, createdAt, refundedMinor, setAsideReason } = order;
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
    refunded: currency && refundedMinor > 0 ? { amountMinor: refundedMinor, currency } : null,
    setAsideReason: setAsideReason || null,
    createdAt: (createdAt as Date).toISOString(),
  };
}
