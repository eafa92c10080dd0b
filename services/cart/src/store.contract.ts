/** What every store of carts promises. store.test.ts holds each of them to it. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { isFailure } from "@piata/kit/errors";
import {
  type Cart,
  type Change,
  ENDED_MAX,
  NO_CART,
  PRODUCTS_MAX,
  QUANTITY_MAX,
  toLines,
} from "./cart.js";
import type { CartStore } from "./store.js";
import { againstTheModel } from "./store.model.js";

export const add = (productId: number, quantity: number): Change => ({
  kind: "add",
  productId,
  quantity,
});
const set = (productId: number, quantity: number): Change => ({ kind: "set", productId, quantity });
const remove = (productId: number): Change => ({ kind: "remove", productId });
const clear: Change = { kind: "clear" };

/** The way to ask a store about one user at a time. */
export function asUser(store: CartStore, userId: number) {
  const cart = async (): Promise<Cart> => (await store.find([userId])).get(userId) ?? NO_CART;
  return {
    cart,
    lines: async () => (await cart()).lines,
    /** Reasons of the refused, "" for the others. */
    change: async (...changes: Change[]) => {
      const answers = await store.change(changes.map((change) => ({ userId, change })));
      return answers.map((answer) => (isFailure(answer) ? answer.reason : ""));
    },
    take: async (orderId: number) => (await store.take([{ userId, orderId }]))[0],
    restore: async (orderId: number) => (await store.restore([{ userId, orderId }]))[0],
    forget: async (orderId: number) => (await store.forget([{ userId, orderId }]))[0],
    erase: async () => (await store.erase([{ userId }]))[0],
  };
}

const EMPTY = { state: "EMPTY", lines: [] };
const ENDED = { state: "ENDED", lines: [] };
const taken = (lines: Record<string, number>) => ({ state: "TAKEN", lines: toLines(lines) });

export function cartStoreContract(name: string, open: () => Promise<CartStore>): void {
  describe(name, () => {
    let store: CartStore;
    let users = 0;
    const newUser = () => asUser(store, ++users);
    before(async () => {
      store = await open();
    });
    after(() => store.close());

    describe("changes", () => {
      it("the first add makes a cart; whoever never had one has none", async () => {
        const user = newUser();
        assert.deepEqual(await user.cart(), NO_CART);
        assert.deepEqual(await user.change(add(12, 2)), [""]);
        assert.deepEqual(await user.cart(), { ...NO_CART, exists: true, lines: { 12: 2 } });
      });

      it("what is added sums up, and an add that would pass 999 is refused", async () => {
        const user = newUser();
        assert.deepEqual(await user.change(add(1, 990), add(1, 9)), ["", ""]);
        assert.deepEqual(await user.change(add(1, 1)), ["QUANTITY_LIMIT"]);
        assert.deepEqual(await user.lines(), { 1: QUANTITY_MAX });
      });

      it("the 101st product is refused, more of one that is there is not", async () => {
        const user = newUser();
        await user.change(...Array.from({ length: PRODUCTS_MAX }, (_, index) => add(index + 1, 1)));
        assert.deepEqual(await user.change(add(500, 1), add(7, 1)), ["CART_FULL", ""]);
        assert.deepEqual(await user.change(remove(7), add(500, 1)), ["", ""]);
        assert.equal(Object.keys(await user.lines()).length, PRODUCTS_MAX);
      });

      it("a quantity is set, a product removed, only where it is in the cart", async () => {
        const user = newUser();
        const missing = "CART_LINE_NOT_FOUND";
        assert.deepEqual(await user.change(set(1, 5), remove(1)), [missing, missing]);
        assert.deepEqual(await user.cart(), NO_CART);
        await user.change(add(1, 1), add(2, 1));
        assert.deepEqual(await user.change(set(1, 5), set(1, 5), remove(2)), ["", "", ""]);
        assert.deepEqual(await user.change(set(2, 5), remove(2)), [missing, missing]);
        assert.deepEqual(await user.lines(), { 1: 5 });
      });

      it("an emptied cart still exists, and clearing none makes none", async () => {
        const [cleared, removed, none] = [newUser(), newUser(), newUser()];
        await cleared.change(add(1, 1));
        await removed.change(add(1, 1));
        assert.deepEqual(await cleared.change(clear, clear), ["", ""]);
        assert.deepEqual(await removed.change(remove(1)), [""]);
        assert.deepEqual(await none.change(clear), [""]);
        assert.deepEqual(await cleared.cart(), { ...NO_CART, exists: true });
        assert.deepEqual(await removed.cart(), { ...NO_CART, exists: true });
        assert.deepEqual(await none.cart(), NO_CART);
      });

      it("changes of one call apply in order, each with its own answer", async () => {
        const [one, other] = [++users, ++users];
        const answers = await store.change([
          { userId: one, change: add(1, 1) },
          { userId: other, change: add(1, 4) },
          { userId: one, change: set(1, 7) },
          { userId: other, change: remove(9) },
          { userId: one, change: add(1, 2) },
        ]);
        const reasons = answers.map((answer) => (isFailure(answer) ? answer.reason : ""));
        assert.deepEqual(reasons, ["", "", "", "CART_LINE_NOT_FOUND", ""]);
        const carts = await store.find([one, other]);
        assert.deepEqual([carts.get(one)?.lines, carts.get(other)?.lines], [{ 1: 9 }, { 1: 4 }]);
      });
    });

    describe("checkouts", () => {
      it("an order takes all lines, once, and leaves the cart empty for the next", async () => {
        const user = newUser();
        assert.deepEqual(await user.take(1), EMPTY);
        await user.change(add(2, 1), add(1, 3));
        assert.deepEqual(await user.take(1), taken({ 1: 3, 2: 1 }));
        assert.deepEqual(await user.take(1), taken({ 1: 3, 2: 1 }));
        assert.deepEqual(await user.take(2), EMPTY);
        assert.deepEqual((await user.cart()).exists, true);
        await user.change(add(1, 1));
        assert.deepEqual(await user.take(1), taken({ 1: 3, 2: 1 }));
        assert.deepEqual(await user.take(2), taken({ 1: 1 }));
        assert.deepEqual(await user.lines(), {});
      });

      it("restored lines join what is there by now, past every limit, once", async () => {
        const user = newUser();
        await user.change(add(1, 990), add(2, 1));
        await user.take(1);
        await user.change(add(1, 20), add(3, 1));
        for (let times = 0; times < 2; times += 1) {
          assert.deepEqual(await user.restore(1), {});
          assert.deepEqual(await user.lines(), { 1: 1010, 2: 1, 3: 1 });
        }
        assert.deepEqual([await user.take(1), await user.forget(1)], [ENDED, {}]);
        assert.deepEqual((await user.cart()).checkouts, {});
        assert.deepEqual(await user.lines(), { 1: 1010, 2: 1, 3: 1 });
      });

      it("forgotten lines are gone, and nothing brings them back", async () => {
        const user = newUser();
        await user.change(add(1, 2));
        await user.take(1);
        assert.deepEqual([await user.forget(1), await user.forget(1)], [{}, {}]);
        assert.deepEqual([await user.restore(1), await user.take(1)], [{}, ENDED]);
        assert.deepEqual(await user.cart(), { ...NO_CART, exists: true, ended: { 1: 1 } });
      });

      it("undoing what never came makes no cart, and the late Take changes nothing", async () => {
        const user = newUser();
        assert.deepEqual([await user.restore(1), await user.forget(2)], [{}, {}]);
        assert.deepEqual(await user.cart(), { ...NO_CART, ended: { 1: 1, 2: 1 } });
        await user.change(add(1, 2));
        assert.deepEqual([await user.take(1), await user.take(2)], [ENDED, ENDED]);
        assert.deepEqual(await user.lines(), { 1: 2 });
      });

      it("the oldest ended orders stay ended when only the floor remembers them", async () => {
        const user = newUser();
        await user.change(add(1, 5));
        await user.take(2);
        for (let orderId = 3; orderId < 3 + ENDED_MAX + 10; orderId += 1) {
          await user.forget(orderId);
        }
        const { ended, floor } = await user.cart();
        assert.equal(Object.keys(ended).length, ENDED_MAX);
        assert.equal(floor, 12);
        await user.change(add(9, 1));
        assert.deepEqual([await user.take(1), await user.take(12)], [ENDED, ENDED]);
        // Below the floor, but taken: it stays valid to its end.
        assert.deepEqual(await user.take(2), taken({ 1: 5 }));
        assert.deepEqual([await user.restore(2), await user.restore(2)], [{}, {}]);
        assert.deepEqual(await user.lines(), { 1: 5, 9: 1 });
        assert.deepEqual(await user.take(2), ENDED);
        assert.deepEqual((await user.cart()).ended, ended);
      });
    });

    it("an erased user keeps nothing, gets nothing, and is erased for good", async () => {
      const [user, newcomer] = [newUser(), newUser()];
      await user.change(add(1, 1));
      await user.take(1);
      await user.change(add(2, 1));
      assert.deepEqual([await user.erase(), await newcomer.erase()], [{}, {}]);
      for (const erased of [user, newcomer]) {
        const gone = "USER_NOT_FOUND";
        const refused = await erased.change(add(1, 1), set(1, 1), remove(1), clear);
        assert.deepEqual(refused, [gone, gone, gone, gone]);
        assert.deepEqual([await erased.take(1), await erased.take(2)], [EMPTY, EMPTY]);
        assert.deepEqual([await erased.restore(1), await erased.forget(2)], [{}, {}]);
        assert.deepEqual(await erased.erase(), {});
        assert.deepEqual(await erased.cart(), { ...NO_CART, erased: true });
      }
    });

    it("carts are there when the store is opened again", async () => {
      const user = newUser();
      await user.change(add(1, 2));
      await user.take(1);
      await user.change(add(3, 4));
      const again = await open();
      try {
        assert.deepEqual((await again.find([users])).get(users), await user.cart());
      } finally {
        await again.close();
      }
    });

    for (const [seed, orderIdMax] of [
      [1, 4],
      [2, 4],
      [3, 200],
    ] as const) {
      it(`late and repeated steps in any order end as the rules say (seed ${seed})`, async () => {
        const pair = [++users, ++users];
        await againstTheModel(store, { seed, userIds: pair, orderIdMax });
      });
    }
  });
}
