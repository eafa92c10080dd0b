/** The cart: its lines are the cart service's, what they show is the catalog's. */
import { CartServiceService, type Line } from "@piata/contracts/cart";
import { batched } from "@piata/kit/batch";
import type { Context } from "@piata/kit/context";
import { isFailure } from "@piata/kit/errors";
import type { Metrics } from "@piata/kit/metrics";
import type { Channel } from "@piata/kit/rpc-client";
import { checkedId } from "@piata/kit/validate";
import type { Catalog } from "./catalog.js";
import { naming } from "./errors.js";
import type { GraphqlContext } from "./graphql-context.js";

interface CartParent {
  userId: number;
  held: Line[];
}

/** The resolvers of the cart. */
export function cart(channel: Channel, catalog: Catalog, metrics: Metrics) {
  const rpc = channel.client(CartServiceService);
  const getCart = batched(rpc.batchGetCarts, { name: "gateway.cart", metrics });
  const changeCart = batched(rpc.batchChangeCarts, { name: "gateway.change_cart", metrics });

  const resolvers = {
    Query: {
      cart: async (_: unknown, __: unknown, context: GraphqlContext) => {
        const caller = await context.signedIn();
        const { cart: found } = await getCart(caller, {});
        return found?.exists ? { userId: caller.userId, held: found.lines } : null;
      },
    },
    CartGraphqlType: {
      items: async ({ held }: CartParent, _: unknown, { anyone }: GraphqlContext) => {
        const items = await Promise.all(held.map((line) => itemOf(catalog, anyone, line)));
        return items.filter((item) => item !== undefined);
      },
      lines: ({ held }: CartParent, _: unknown, { anyone }: GraphqlContext) =>
        Promise.all(held.map((line) => lineOf(catalog, anyone, line))),
    },
    Mutation: {
      addToCart: async (
        _: unknown,
        { input }: { input: { productId: number; quantity: number } },
        context: GraphqlContext,
      ) => {
        const productId = checkedId(input.productId, "productId");
        const caller = await context.signedIn();
        await catalog.checkProduct(caller, productId);
        await changeCart(caller, { add: { productId, quantity: input.quantity } });
        return "Added to the cart.";
      },
      updateItemQuantity: async (
        _: unknown,
        { input }: { input: { productId: number; newQuantity: number } },
        context: GraphqlContext,
      ) => {
        const productId = checkedId(input.productId, "productId");
        const caller = await context.signedIn();
        const set = { productId, quantity: input.newQuantity };
        await naming({ quantity: "newQuantity" }, changeCart(caller, { set }));
        return "The quantity is changed.";
      },
      removeItem: async (
        _: unknown,
        { productId }: { productId: number },
        context: GraphqlContext,
      ) => {
        const removeProductId = checkedId(productId, "productId");
        await changeCart(await context.signedIn(), { removeProductId });
        return "Removed from the cart.";
      },
      clearCart: async (_: unknown, __: unknown, context: GraphqlContext) => {
        await changeCart(await context.signedIn(), { clear: true });
        return "The cart is empty.";
      },
    },
  };
  return { resolvers };
}

/** What the base contract shows of a line; undefined when its product is gone. */
async function itemOf(catalog: Catalog, context: Context, { productId, quantity }: Line) {
  try {
    const { name, imageUrl, price, exactPrice } = await catalog.product(context, productId);
    const rounded = Math.floor(price + 0.5);
    return { productId, quantity, name, imageUrl, price: rounded, exactPrice };
  } catch (error) {
    if (isFailure(error, "PRODUCT_NOT_FOUND")) return undefined;
    throw error;
  }
}

/** A line with its product, or without while the catalog does not answer. */
async function lineOf(catalog: Catalog, context: Context, { productId, quantity }: Line) {
  try {
    return { productId, quantity, product: await catalog.product(context, productId) };
  } catch (error) {
    if (isFailure(error)) return { productId, quantity, product: null };
    throw error;
  }
}
