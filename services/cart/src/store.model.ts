/** Random histories: a store must come to what the pure rules say, step by step. */
import assert from "node:assert/strict";
import { Random } from "@piata/testkit/random";
import {
  applyChange,
  type Cart,
  type Change,
  forget,
  NO_CART,
  type Outcome,
  restore,
  take,
} from "./cart.js";
import type { CartStore, OfOrder } from "./store.js";

const CALLS = 150;

export interface History {
  seed: number;
  userIds: number[];
  /** Orders are drawn from 1 to this one. */
  orderIdMax: number;
}

const RULES = { take, restore, forget };
type Step = "change" | keyof typeof RULES;
// Takes and changes are rarer than what ends an order, in wrong order as often as not.
const STEPS: readonly Step[] = ["change", "change", "take", "take", "restore", "forget"];

export async function againstTheModel(
  store: CartStore,
  { seed, userIds, orderIdMax }: History,
): Promise<void> {
  const random = new Random(seed);
  const below = (limit: number) => random.integer(0, limit - 1);
  const model = new Map<number, Cart>();
  /** Applies items in order to the model; answers as the store should. */
  function expected<Item extends { userId: number }, Answer>(
    items: Item[],
    decide: (cart: Cart, item: Item) => Outcome<Answer>,
  ) {
    return items.map((item) => {
      const { cart, answer } = decide(model.get(item.userId) ?? NO_CART, item);
      model.set(item.userId, cart);
      return answer;
    });
  }
  const draw = <Item>(make: (userId: number) => Item): Item[] =>
    Array.from({ length: 1 + below(4) }, () => make(userIds[below(userIds.length)] as number));
  const ofOrder = (userId: number): OfOrder => ({ userId, orderId: 1 + below(orderIdMax) });

  for (let call = 0; call < CALLS; call += 1) {
    const step = STEPS[below(STEPS.length)] as Step;
    if (step === "change") {
      const items = draw((userId) => ({ userId, change: randomChange(below) }));
      const answers = await store.change(items);
      const wanted = expected(items, (cart, { change }) => applyChange(cart, change));
      assert.deepEqual(answers, wanted, `call ${call}`);
    } else {
      const items = draw(ofOrder);
      const answers = await store[step](items);
      const wanted = expected<OfOrder, object>(items, (cart, { orderId }) =>
        RULES[step](cart, orderId),
      );
      assert.deepEqual(answers, wanted, `call ${call}`);
    }
    const carts = await store.find(userIds);
    for (const userId of userIds) {
      const cart = carts.get(userId) ?? NO_CART;
      assert.deepEqual(cart, model.get(userId) ?? NO_CART, `call ${call}`);
    }
  }
}

function randomChange(below: (limit: number) => number): Change {
  const productId = 1 + below(3);
  switch (below(8)) {
    case 0:
      return { kind: "clear" };
    case 1:
      return { kind: "remove", productId };
    case 2:
      return { kind: "set", productId, quantity: 1 + below(999) };
    default:
      return { kind: "add", productId, quantity: 1 + below(400) };
  }
}
