/** What every store of carts promises about parallel calls, where updates are atomic. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Checkout, ENDED_MAX, type Lines, NO_CART, QUANTITY_MAX } from "./cart.js";
import { add, asUser } from "./store.contract.js";
import type { CartStore } from "./store.js";

const units = (lines: Lines): number =>
  Object.values(lines).reduce((sum, quantity) => sum + quantity, 0);

const times = <Result>(count: number, work: (index: number) => Promise<Result>) =>
  Promise.all(Array.from({ length: count }, (_, index) => work(index)));

export function cartStoreRaces(name: string, open: () => Promise<CartStore>): void {
  describe(name, () => {
    // Two, as two instances of the service have.
    let stores: [CartStore, CartStore];
    let users = 0;
    const newUser = () => {
      const userId = ++users;
      return { userId, one: asUser(stores[0], userId), other: asUser(stores[1], userId) };
    };
    before(async () => {
      stores = [await open(), await open()];
    });
    after(() => Promise.all(stores.map((store) => store.close())));

    it("100 parallel adds to a cart that is not there yet are all counted", async () => {
      const { one, other } = newUser();
      await times(100, (index) => (index % 2 ? one : other).change(add(1 + (index % 3), 1)));
      assert.deepEqual(await one.lines(), { 1: 34, 2: 33, 3: 33 });
    });

    it("parallel adds never pass the limit of a product, and fill it", async () => {
      const { one, other } = newUser();
      const reasons = (
        await times(40, (index) => (index % 2 ? one : other).change(add(1, 50)))
      ).flat();
      assert.equal(reasons.filter((reason) => reason === "").length, 19);
      assert.equal(reasons.filter((reason) => reason === "QUANTITY_LIMIT").length, 21);
      assert.ok(((await one.lines())[1] as number) <= QUANTITY_MAX);
    });

    it("adds beside takes: every unit is in the cart or in one checkout, once", async () => {
      const { one, other } = newUser();
      await Promise.all([
        times(100, (index) => one.change(add(1 + (index % 5), 1))),
        times(10, (index) => other.take(1 + index)),
      ]);
      const { lines, checkouts } = await one.cart();
      const aside = Object.values(checkouts).reduce((sum, theirs) => sum + units(theirs), 0);
      assert.equal(units(lines) + aside, 100);
    });

    it("two orders take one cart at once: exactly one gets the lines", async () => {
      for (let round = 0; round < 10; round += 1) {
        const { one, other } = newUser();
        await one.change(add(1, 3), add(2, 4));
        const answers = await Promise.all([one.take(1), other.take(2), one.take(1), other.take(2)]);
        const states = answers.map((answer) => (answer as Checkout).state);
        assert.equal(states[0], states[2]);
        assert.equal(states[1], states[3]);
        assert.deepEqual([...new Set(states)].sort(), ["EMPTY", "TAKEN"]);
        assert.deepEqual(await one.lines(), {});
        assert.deepEqual(Object.values((await one.cart()).checkouts), [{ 1: 3, 2: 4 }]);
      }
    });

    it("a checkout that is restored by many at once, beside adds, comes back once", async () => {
      const { one, other } = newUser();
      await one.change(add(1, 5), add(2, 1));
      await one.take(1);
      await Promise.all([
        times(10, () => one.restore(1)),
        times(10, () => other.restore(1)),
        times(20, () => other.change(add(1, 1))),
        times(10, () => other.take(1)),
      ]);
      assert.deepEqual(await one.cart(), {
        ...NO_CART,
        exists: true,
        lines: { 1: 25, 2: 1 },
        ended: { 1: 1 },
      });
    });

    it("a checkout that is restored and forgotten at once ends one way, whole", async () => {
      for (let round = 0; round < 10; round += 1) {
        const { one, other } = newUser();
        await one.change(add(1, 5), add(2, 1));
        await one.take(1);
        await Promise.all([one.restore(1), other.forget(1), other.restore(1), one.forget(1)]);
        const { lines, checkouts, ended } = await one.cart();
        assert.ok(units(lines) === 0 || units(lines) === 6);
        assert.deepEqual([checkouts, ended], [{}, { 1: 1 }]);
      }
    });

    it("a Take beside its own Restore leaves the lines in the cart", async () => {
      for (let round = 0; round < 10; round += 1) {
        const { one, other } = newUser();
        await one.change(add(1, 5));
        await Promise.all([one.take(1), other.restore(1)]);
        assert.deepEqual(await one.lines(), { 1: 5 });
        assert.deepEqual((await one.cart()).checkouts, {});
      }
    });

    it("orders that end in parallel are all ended, however few are remembered", async () => {
      const { one, other } = newUser();
      const orders = ENDED_MAX + 16;
      await times(orders, (index) => (index % 2 ? one : other).forget(1 + index));
      // One more pass prunes what parallel ends left over.
      await one.forget(orders + 1);
      await one.change(add(1, 1));
      const states = await times(orders + 1, (index) => other.take(1 + index));
      assert.deepEqual(
        new Set(states.map((answer) => (answer as Checkout).state)),
        new Set(["ENDED"]),
      );
      assert.equal(Object.keys((await one.cart()).ended).length, ENDED_MAX);
    });

    it("an erasure beside adds leaves nothing", async () => {
      const { one, other } = newUser();
      await Promise.all([
        times(20, () => one.change(add(1, 1))),
        other.erase(),
        times(20, () => other.change(add(2, 1))),
        one.restore(1),
      ]);
      assert.deepEqual(await one.cart(), { ...NO_CART, erased: true });
    });

    it("batches with the same users in any order lose nothing", async () => {
      const ids = Array.from({ length: 12 }, () => ++users);
      const shuffled = (index: number) =>
        ids.map((_, place) => ids[(place * 7 + index * 5) % ids.length] as number);
      await times(24, (index) => {
        const store = stores[index % 2] as CartStore;
        const theirs = shuffled(index);
        return index % 4 === 3
          ? store.forget(theirs.map((userId) => ({ userId, orderId: 1 + index })))
          : store.change(theirs.map((userId) => ({ userId, change: add(1, 1) })));
      });
      const carts = await stores[0].find(ids);
      for (const userId of ids) {
        assert.deepEqual(carts.get(userId)?.lines, { 1: 18 });
        assert.equal(Object.keys(carts.get(userId)?.ended ?? {}).length, 6);
      }
    });
  });
}
