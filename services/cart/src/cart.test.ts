import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isFailure } from "@piata/kit/errors";
import {
  applyChange,
  type Cart,
  checkedQuantity,
  checkoutOf,
  ENDED_MAX,
  ERASED,
  erase,
  forget,
  NO_CART,
  restore,
  take,
  toLines,
} from "./cart.js";

const cartOf = (lines: Record<string, number>): Cart => ({ ...NO_CART, exists: true, lines });

describe("quantities", () => {
  for (const quantity of [0, -1, 1_000, 1.5, Number.NaN, 2 ** 31]) {
    it(`${quantity} is refused`, () => {
      assert.throws(
        () => checkedQuantity(quantity),
        (error) => isFailure(error, "QUANTITY_INVALID") && error.metadata.field === "quantity",
      );
    });
  }

  it("1 and 999 are accepted", () => {
    assert.deepEqual([checkedQuantity(1), checkedQuantity(999)], [1, 999]);
  });
});

describe("a cart", () => {
  it("lists its lines by product id", () => {
    assert.deepEqual(
      toLines({ 10: 1, 9: 2, 2147483647: 3 }).map(({ productId }) => productId),
      [9, 10, 2147483647],
    );
  });

  it("is the very same cart after whatever changes nothing", () => {
    const cart = restore(cartOf({ 1: 5 }), 7).cart;
    for (const { cart: after } of [
      applyChange(cart, { kind: "set", productId: 1, quantity: 5 }),
      applyChange(cart, { kind: "set", productId: 2, quantity: 5 }),
      applyChange(cart, { kind: "remove", productId: 2 }),
      applyChange(cart, { kind: "add", productId: 1, quantity: 995 }),
      applyChange(NO_CART, { kind: "clear" }),
      take(cart, 7),
      restore(cart, 7),
      forget(cart, 7),
    ]) {
      assert.ok(after === cart || after === NO_CART);
    }
    assert.equal(take(NO_CART, 1).cart, NO_CART);
  });

  it("of an erased user stays erased, whatever comes", () => {
    for (const step of [
      applyChange(ERASED, { kind: "add", productId: 1, quantity: 1 }),
      applyChange(ERASED, { kind: "clear" }),
      take(ERASED, 1),
      restore(ERASED, 1),
      forget(ERASED, 1),
      erase(ERASED),
    ]) {
      assert.equal(step.cart, ERASED);
    }
  });
});

describe("a checkout", () => {
  const untouched = cartOf({ 1: 2 });
  const taken = take(untouched, 7).cart;
  const histories: [string, Cart, string][] = [
    ["nothing yet", untouched, "EMPTY"],
    ["a Take", taken, "TAKEN"],
    ["a Take and a Restore", restore(taken, 7).cart, "ENDED"],
    ["a Take and a Forget", forget(taken, 7).cart, "ENDED"],
    ["a Restore only", restore(untouched, 7).cart, "ENDED"],
    ["a Forget only", forget(untouched, 7).cart, "ENDED"],
  ];
  for (const [history, cart, state] of histories) {
    it(`is ${state} after ${history}`, () => {
      assert.equal(checkoutOf(cart, 7).state, state);
    });
    if (state === "ENDED") {
      it(`is final after ${history}`, () => {
        assert.equal(take(cart, 7).cart, cart);
        assert.equal(restore(cart, 7).cart, cart);
        assert.equal(forget(cart, 7).cart, cart);
      });
    }
  }

  it("that was never taken leaves the cart as it is when it ends", () => {
    assert.deepEqual(restore(untouched, 7).cart.lines, { 1: 2 });
    assert.deepEqual(forget(untouched, 7).cart.lines, { 1: 2 });
  });
});

describe("ended checkouts", () => {
  const endAll = (cart: Cart, orderIds: number[]) =>
    orderIds.reduce((before, orderId) => forget(before, orderId).cart, cart);
  const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

  it("are remembered one by one up to 64, then the oldest by the floor", () => {
    const full = endAll(NO_CART, upTo(ENDED_MAX));
    assert.deepEqual([Object.keys(full.ended).length, full.floor], [ENDED_MAX, 0]);
    const over = forget(full, 1_000).cart;
    assert.deepEqual([Object.keys(over.ended).length, over.floor], [ENDED_MAX, 1]);
    assert.equal(checkoutOf(over, 1).state, "ENDED");
  });

  it("stay ended in whatever order they came", () => {
    const newestFirst = upTo(200).reverse();
    const cart = endAll(cartOf({ 1: 1 }), newestFirst);
    assert.ok(Object.keys(cart.ended).length <= ENDED_MAX);
    for (const orderId of newestFirst) assert.equal(take(cart, orderId).cart, cart);
  });

  it("below the floor, one that is still taken comes back whole and then is over", () => {
    const behind = endAll(take(cartOf({ 1: 2 }), 5).cart, upTo(200).slice(10));
    assert.ok(behind.floor > 5);
    assert.equal(checkoutOf(behind, 5).state, "TAKEN");
    const back = restore(behind, 5).cart;
    assert.deepEqual([back.lines, back.checkouts], [{ 1: 2 }, {}]);
    assert.equal(checkoutOf(back, 5).state, "ENDED");
  });
});
