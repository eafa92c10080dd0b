import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { OrderState } from "@piata/contracts/order";
import { Failure, isFailure } from "@piata/kit/errors";
import { as } from "@piata/testkit/identity";
import { options, reasonOf, type Shop, startShop } from "./fixture.js";

const CHARGED = { state: "CHARGED", amountMinor: 3_998 };

describe("the order service", () => {
  let shop: Shop;
  let users = 0;

  before(async () => {
    shop = await startShop();
  });
  after(async () => {
    assert.deepEqual(await shop.stop(), [0, 0, 0, 0]);
  });

  const refuses = (call: Promise<unknown>, expected: string) =>
    assert.rejects(
      call,
      (error) => error instanceof Failure && `${error.code} / ${error.reason}` === expected,
      expected,
    );
  /** A user with so many of a product of which there are so many units. */
  const shopper = async (quantity: number, units = 10) => {
    const userId = ++users;
    const productId = await shop.offer(units);
    await shop.fill(userId, [productId, quantity]);
    return { userId, productId };
  };

  it("takes a purchase to PAID: the stock is sold, the cart empty, the money taken once", async () => {
    const { userId, productId } = await shopper(2);
    const orderId = await shop.place(userId);
    const order = await shop.ended(userId, orderId);
    assert.ok(order.createdAt && Math.abs(Date.now() - order.createdAt.getTime()) < 60_000);
    assert.deepEqual(order, {
      id: orderId,
      state: OrderState.PAID,
      reason: "",
      lines: [{ productId, quantity: 2, unitPriceMinor: 1_999 }],
      total: { amountMinor: 3_998, currencyCode: "EUR" },
      createdAt: order.createdAt,
      refundedMinor: 0,
      setAsideReason: "",
    });
    await shop.over(orderId);
    assert.deepEqual(await shop.units(productId), { available: 8, held: 0, sold: 2 });
    assert.deepEqual(await shop.cartOf(userId), []);
    assert.deepEqual(await shop.ledger(orderId), [CHARGED]);
  });

  for (const paymentMethod of ["slow", "answer-lost", "answer-lost-before"]) {
    it(`takes a purchase to PAID, once, with a payment that is ${paymentMethod}`, async () => {
      const { userId, productId } = await shopper(2);
      const orderId = await shop.place(userId, { paymentMethod });
      assert.equal((await shop.ended(userId, orderId)).state, OrderState.PAID);
      await shop.over(orderId);
      assert.deepEqual(await shop.units(productId), { available: 8, held: 0, sold: 2 });
      assert.deepEqual(await shop.ledger(orderId), [CHARGED]);
    });
  }

  it("shows a declined card only when the stock and the cart are back", async () => {
    const { userId, productId } = await shopper(2);
    const orderId = await shop.place(userId, { paymentMethod: "declined" });
    const { state, reason } = await shop.ended(userId, orderId);
    assert.deepEqual([state, reason], [OrderState.PAYMENT_FAILED, "CARD_DECLINED"]);
    assert.deepEqual(await shop.units(productId), { available: 10, held: 0, sold: 0 });
    assert.deepEqual(await shop.cartOf(userId), [{ productId, quantity: 2 }]);
  });

  it("rejects an order of more than there is, wholly, and the cart is back", async () => {
    const { userId, productId } = await shopper(11);
    const enough = await shop.offer(5);
    await shop.fill(userId, [enough, 1]);
    const orderId = await shop.place(userId);
    const { state, reason, total } = await shop.ended(userId, orderId);
    assert.deepEqual(
      [state, reason, total],
      [OrderState.ITEMS_REJECTED, "OUT_OF_STOCK", undefined],
    );
    assert.deepEqual(await shop.units(enough), { available: 5, held: 0, sold: 0 });
    assert.deepEqual(await shop.cartOf(userId), [
      { productId, quantity: 11 },
      { productId: enough, quantity: 1 },
    ]);
    assert.deepEqual(await shop.ledger(orderId), []);
  });

  it("rejects an order that costs other than the customer expects", async () => {
    const { userId, productId } = await shopper(2);
    const rejected = await shop.place(userId, { expectedTotalMinor: 3_997 });
    const { state, reason } = await shop.ended(userId, rejected);
    assert.deepEqual([state, reason], [OrderState.ITEMS_REJECTED, "PRICE_CHANGED"]);
    assert.deepEqual(await shop.cartOf(userId), [{ productId, quantity: 2 }]);
    const paid = await shop.place(userId, { expectedTotalMinor: 3_998 });
    assert.equal((await shop.ended(userId, paid)).state, OrderState.PAID);
  });

  it("rejects a cart that grew past what an order may have, and does not keep it", async () => {
    const userId = ++users;
    const ids = Array.from({ length: 120 }, (_, index) => 1_000_000 + index);
    // As a cart does into which a failed order's lines were put back.
    const line = (id: number): [number, number] => [id, 1];
    await shop.fill(userId, ...ids.slice(0, 60).map(line));
    const taken = await shop.orders.placeIntent(userId, 3_600_000);
    const take = { items: [{ ...as(userId), orderId: taken, peek: false }] };
    await shop.cart.batchTake(take, options());
    await shop.fill(userId, ...ids.slice(60).map(line));
    await shop.cart.batchRestore({ items: [{ ...as(userId), orderId: taken }] }, options());
    assert.equal((await shop.cartOf(userId)).length, 120);

    const { state, reason } = await shop.ended(userId, await shop.place(userId));
    assert.deepEqual([state, reason], [OrderState.ITEMS_REJECTED, "LINES_INVALID"]);
    assert.equal((await shop.cartOf(userId)).length, 120);
  });

  it("has no order of an empty cart, and names the one just placed", async () => {
    await refuses(shop.place(++users), "FAILED_PRECONDITION / CART_EMPTY");
    const { userId } = await shopper(1);
    const orderId = await shop.place(userId);
    await assert.rejects(
      shop.place(userId),
      (error) => isFailure(error, "CART_EMPTY") && error.metadata.lastOrderId === String(orderId),
    );
  });

  it("makes one order of a key that comes 50 times at once, and tells its id each time", async () => {
    const { userId, productId } = await shopper(2);
    const wish = { idempotencyKey: `key-${userId}` };
    const ids = await Promise.all(Array.from({ length: 50 }, () => shop.place(userId, wish)));
    assert.equal(new Set(ids).size, 1);
    const [orderId] = ids as [number];
    assert.equal((await shop.ended(userId, orderId)).state, OrderState.PAID);
    assert.equal(await shop.place(userId, wish), orderId);
    await shop.over(orderId);
    assert.deepEqual(await shop.units(productId), { available: 8, held: 0, sold: 2 });
  });

  it("keeps CART_EMPTY as a key's first answer, though the cart is filled later", async () => {
    const userId = ++users;
    const wish = { idempotencyKey: `key-${userId}` };
    const empty = "FAILED_PRECONDITION / CART_EMPTY";
    await refuses(shop.place(userId, wish), empty);
    await shop.fill(userId, [await shop.offer(1), 1]);
    await refuses(shop.place(userId, wish), empty);
    assert.equal((await shop.cartOf(userId)).length, 1);
  });

  it("refuses a key that comes with other arguments", async () => {
    const { userId } = await shopper(1);
    const wish = { idempotencyKey: "the-same", paymentMethod: "success" };
    const orderId = await shop.place(userId, wish);
    const reused = "FAILED_PRECONDITION / IDEMPOTENCY_KEY_REUSED";
    await refuses(shop.place(userId, { ...wish, paymentMethod: "declined" }), reused);
    await refuses(shop.place(userId, { ...wish, expectedTotalMinor: 1_999 }), reused);
    assert.equal(await shop.place(userId, wish), orderId);
    // A key is its user's own.
    const other = await shopper(1);
    assert.notEqual(await shop.place(other.userId, wish), orderId);
  });

  it("makes one order of a cart that is ordered twice at once", async () => {
    for (let round = 0; round < 5; round += 1) {
      const { userId, productId } = await shopper(1);
      const outcomes = await Promise.allSettled([shop.place(userId), shop.place(userId)]);
      const won = outcomes.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
      const lost = outcomes.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
      assert.equal(won.length, 1);
      assert.ok(lost.length === 1 && isFailure(lost[0], "CART_EMPTY"));
      await shop.over(won[0] as number);
      assert.deepEqual(await shop.units(productId), { available: 9, held: 0, sold: 1 });
      assert.deepEqual(await shop.cartOf(userId), []);
    }
  });

  it("refuses what is not well-formed, and places what is beside it", async () => {
    const { userId } = await shopper(1);
    const wish = { paymentMethod: "", idempotencyKey: "" };
    const items = [
      wish,
      { ...wish, ...as(userId), paymentMethod: "4111 1111 1111 1111" },
      { ...wish, ...as(userId), idempotencyKey: "a b" },
      { ...wish, ...as(userId), expectedTotalMinor: -1 },
      { ...wish, ...as(userId) },
    ];
    const { results } = await shop.order.batchPlaceOrders({ items }, options());
    const invalid = ["PAYMENT_METHOD", "IDEMPOTENCY_KEY", "EXPECTED_TOTAL"].map(
      (what) => `INVALID_ARGUMENT / ${what}_INVALID`,
    );
    assert.deepEqual(results.map(reasonOf), ["UNAUTHENTICATED / SIGN_IN_REQUIRED", ...invalid, ""]);
    assert.deepEqual(
      results.map(({ orderId }) => orderId > 0),
      [false, false, false, false, true],
    );
  });

  it("shows orders to their user only, in the order asked", async () => {
    const { userId } = await shopper(1);
    const orderId = await shop.place(userId);
    const intent = await shop.orders.placeIntent(userId, 3_600_000);
    const items = [
      { ...as(userId), orderId: 2_000_000_000 },
      { ...as(userId), orderId },
      { ...as(++users), orderId },
      { orderId },
      { ...as(userId), orderId: 0 },
      { ...as(userId), orderId: intent },
    ];
    const { results } = await shop.order.batchGetOrders({ items }, options());
    const [signIn, badId] = ["UNAUTHENTICATED / SIGN_IN_REQUIRED", "INVALID_ARGUMENT / ID_INVALID"];
    const missing = "NOT_FOUND / ORDER_NOT_FOUND";
    assert.deepEqual(results.map(reasonOf), [missing, "", missing, signIn, badId, missing]);
    assert.equal(results[1]?.order?.id, orderId);
  });

  it("lists a user's orders newest first, in pages", async () => {
    const userId = ++users;
    const productId = await shop.offer(10);
    const ids: number[] = [];
    for (let count = 0; count < 3; count += 1) {
      await shop.fill(userId, [productId, 1]);
      ids.unshift(await shop.place(userId));
    }
    const list = (pageSize: number, pageToken = "", user = userId) =>
      shop.order.listOrders({ ...as(user), pageSize, pageToken }, options());
    const first = await list(2);
    const second = await list(2, first.nextPageToken);
    const idsOf = ({ orders }: typeof first) => orders.map(({ id }) => id);
    assert.deepEqual([idsOf(first), idsOf(second)], [ids.slice(0, 2), ids.slice(2)]);
    assert.equal(second.nextPageToken, "");
    const all = await list(3);
    assert.deepEqual([idsOf(all), all.nextPageToken], [ids, ""]);
    assert.deepEqual(idsOf(await list(0)), ids);
    assert.deepEqual(idsOf(await list(0, "", ++users)), []);
    const badPage = "INVALID_ARGUMENT / PAGE_INVALID";
    await refuses(list(101), badPage);
    await refuses(list(1, Buffer.from("one").toString("base64url")), badPage);
    await refuses(list(1, "", 0), "UNAUTHENTICATED / SIGN_IN_REQUIRED");
  });

  it("sells no more than there is to as many as want it at once", async () => {
    const productId = await shop.offer(5);
    const buyers = Array.from({ length: 20 }, () => ++users);
    await Promise.all(buyers.map((userId) => shop.fill(userId, [productId, 1])));
    const ids = await Promise.all(buyers.map((userId) => shop.place(userId)));
    const states = await Promise.all(
      buyers.map(async (userId, index) => (await shop.ended(userId, ids[index] as number)).state),
    );
    assert.equal(states.filter((state) => state === OrderState.PAID).length, 5);
    assert.equal(states.filter((state) => state === OrderState.ITEMS_REJECTED).length, 15);
    for (const id of ids) await shop.over(id);
    assert.deepEqual(await shop.units(productId), { available: 0, held: 0, sold: 5 });
  });
});
