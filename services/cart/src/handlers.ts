/** The cart's RPCs: whose cart it is, what is well-formed, and the way into the store. */
import { Controller, Inject } from "@nestjs/common";
import * as rpc from "@piata/contracts/cart";
import { answerEach } from "@piata/kit/batch";
import { signedIn } from "@piata/kit/context";
import { type Failure, invalidArgument } from "@piata/kit/errors";
import { forUsers, forUsersOf, onlyFrom, Rpc } from "@piata/kit/permission";
import type { Handlers } from "@piata/kit/rpc-server";
import { checkedId } from "@piata/kit/validate";
import { type Cart, type Change, checkedQuantity, checkoutOf, NO_CART, toLines } from "./cart.js";
import type { CartStore, OfOrder, OfUser, UserChange } from "./store.js";

export const STORE = Symbol("CartStore");

interface Asked extends OfOrder {
  peek: boolean;
}

@Controller()
export class CartHandlers implements Handlers<rpc.CartServiceService> {
  readonly #store: CartStore;

  constructor(@Inject(STORE) store: CartStore) {
    this.#store = store;
  }

  @Rpc("CartService", forUsersOf("gateway", "order"))
  async batchGetCarts({ items }: rpc.BatchGetCartsRequest): Promise<rpc.BatchGetCartsResponse> {
    const results = await answerEach(items, ofUser, async (users) => {
      const carts = await this.#store.find(users.map(({ userId }) => userId));
      return users.map(({ userId }) => {
        const { exists, lines } = carts.get(userId) ?? NO_CART;
        return { cart: { userId, exists, lines: toLines(lines) } };
      });
    });
    return { results };
  }

  @Rpc("CartService", forUsers)
  async batchChangeCarts({
    items,
  }: rpc.BatchChangeCartsRequest): Promise<rpc.BatchChangeCartsResponse> {
    return { results: await answerEach(items, userChange, (all) => this.#store.change(all)) };
  }

  @Rpc("CartService", onlyFrom("order"))
  async batchTake({ items }: rpc.BatchTakeRequest): Promise<rpc.BatchTakeResponse> {
    const results = await answerEach(
      items,
      (item): Asked => ({ ...ofOrder(item), peek: item.peek }),
      (asked) => this.#takeOrPeek(asked),
    );
    const none = { state: rpc.CheckoutState.UNSPECIFIED, lines: [] };
    return { results: results.map((result) => ({ ...none, ...result })) };
  }

  @Rpc("CartService", onlyFrom("order"))
  async batchRestore({ items }: rpc.BatchRestoreRequest): Promise<rpc.BatchRestoreResponse> {
    return { results: await answerEach(items, ofOrder, (orders) => this.#store.restore(orders)) };
  }

  @Rpc("CartService", onlyFrom("order"))
  async batchForget({ items }: rpc.BatchForgetRequest): Promise<rpc.BatchForgetResponse> {
    return { results: await answerEach(items, ofOrder, (orders) => this.#store.forget(orders)) };
  }

  @Rpc("CartService", onlyFrom("access"))
  async batchErase({ items }: rpc.BatchEraseRequest): Promise<rpc.BatchEraseResponse> {
    return { results: await answerEach(items, ofUser, (users) => this.#store.erase(users)) };
  }

  async #takeOrPeek(asked: Asked[]): Promise<(rpc.BatchTakeResponse_Result | Failure)[]> {
    const peeks = asked.filter(({ peek }) => peek);
    const takes = asked.filter(({ peek }) => !peek);
    const [carts, taken] = await Promise.all([
      peeks.length > 0
        ? this.#store.find(peeks.map(({ userId }) => userId))
        : new Map<number, Cart>(),
      takes.length > 0 ? this.#store.take(takes) : [],
    ]);
    const answers = new Map(takes.map((take, index) => [take, taken[index]]));
    return asked.map((one) => {
      const answer = answers.get(one) ?? checkoutOf(carts.get(one.userId) ?? NO_CART, one.orderId);
      if (!("state" in answer)) return answer;
      return { state: rpc.CheckoutState[answer.state], lines: answer.lines };
    });
  }
}

const ofUser = ({ context }: rpc.BatchGetCartsRequest_Item): OfUser => ({
  userId: signedIn(context),
});

const ofOrder = ({ context, orderId }: rpc.BatchRestoreRequest_Item): OfOrder => ({
  userId: signedIn(context),
  orderId: checkedId(orderId, "order_id"),
});

function userChange(item: rpc.BatchChangeCartsRequest_Item): UserChange {
  return { userId: signedIn(item.context), change: checkedChange(item) };
}

/** Throws INVALID_ARGUMENT / ID_INVALID, QUANTITY_INVALID, CHANGE_INVALID. */
function checkedChange(item: rpc.BatchChangeCartsRequest_Item): Change {
  const { add, set, removeProductId, clear } = item;
  if (add) return { kind: "add", ...checkedLine(add) };
  if (set) return { kind: "set", ...checkedLine(set) };
  if (removeProductId !== undefined) {
    return { kind: "remove", productId: checkedId(removeProductId, "productId") };
  }
  if (clear) return { kind: "clear" };
  throw invalidArgument("CHANGE_INVALID", "An item must say which change it is.", {
    field: "change",
  });
}

const checkedLine = ({ productId, quantity }: rpc.Line): rpc.Line => ({
  productId: checkedId(productId, "productId"),
  quantity: checkedQuantity(quantity),
});
