import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { CheckoutState } from "@piata/contracts/cart";
import { OrderState } from "@piata/contracts/order";
import { Failure } from "@piata/kit/errors";
import { as } from "@piata/testkit/identity";
import { until } from "@piata/testkit/until";
import { options, type Purchase, type Shop, startShop } from "./fixture.js";

const PAID_ONCE = [{ state: "CHARGED", amountMinor: 1_999 }];
const SLOW = { paymentMethod: "slow" };

describe("an order", () => {
  let shop: Shop;
  let users = 0;

  before(async () => {
    shop = await startShop();
  });
  after(async () => {
    assert.deepEqual(await shop.stop(), [0, 0, 0, 0]);
  });

  const shopper = async () => {
    const userId = ++users;
    const productId = await shop.offer(10);
    await shop.fill(userId, [productId, 1]);
    return { userId, productId };
  };
  /** A purchase that waits for its payment. */
  const waiting = async () => {
    const { userId, productId } = await shopper();
    const orderId = await shop.place(userId, SLOW);
    await until(async () => (await shop.get(userId, orderId)).state === OrderState.APPROVED);
    return { userId, productId, orderId };
  };
  const isPaidOnce = async ({ userId, productId, orderId }: Purchase) => {
    assert.equal((await shop.ended(userId, orderId)).state, OrderState.PAID);
    await shop.over(orderId);
    assert.deepEqual(await shop.ledger(orderId), PAID_ONCE);
    assert.deepEqual(await shop.units(productId), { available: 9, held: 0, sold: 1 });
    assert.deepEqual(await shop.cartOf(userId), []);
  };
  const take = async (userId: number, orderId: number) => {
    const items = [{ ...as(userId), orderId, peek: false }];
    return (await shop.cart.batchTake({ items }, options())).results[0]?.state;
  };

  it("whose instance died before the cart was taken ends, and a late take takes nothing", async () => {
    const { userId, productId } = await shopper();
    const orderId = await shop.orders.placeIntent(userId, -1);
    await shop.over(orderId);
    assert.equal((await shop.orders.row(orderId))?.state, "ABANDONED");
    assert.equal(await take(userId, orderId), CheckoutState.ENDED);
    assert.deepEqual(await shop.cartOf(userId), [{ productId, quantity: 1 }]);
    await assert.rejects(shop.get(userId, orderId), { reason: "ORDER_NOT_FOUND" });
  });

  it("whose instance died after the cart was taken goes on", async () => {
    const { userId, productId } = await shopper();
    const orderId = await shop.orders.placeIntent(userId, 1_500);
    assert.equal(await take(userId, orderId), CheckoutState.TAKEN);
    await shop.over(orderId);
    await isPaidOnce({ userId, productId, orderId });
  });

  for (const name of ["order", "payment", "catalog", "cart"] as const) {
    it(`is paid once when ${name} is killed in mid-purchase and started again`, async () => {
      const purchase = await waiting();
      await shop.kill(name);
      await shop.restart(name);
      await isPaidOnce(purchase);
    });
  }

  it("is paid once when order is stopped in mid-purchase and started again", async () => {
    const purchase = await waiting();
    assert.equal(await shop.end("order"), 0);
    await shop.restart("order");
    await isPaidOnce(purchase);
  });

  it("is paid once when its instance is paused for longer than its lease, and wakes up", async () => {
    const other = await shop.startAnother();
    const { userId, productId } = await shopper();
    const orderId = await shop.place(userId, SLOW);
    shop.pause("order");
    await shop.over(orderId);
    shop.resume("order");
    await isPaidOnce({ userId, productId, orderId });
    assert.equal(await other.stop(), 0);
  });

  for (const name of ["catalog", "payment"] as const) {
    it(`waits while ${name} is away, and goes on`, async () => {
      const { userId, productId } = await shopper();
      await shop.kill(name);
      const orderId = await shop.place(userId);
      const stands = await shop.get(userId, orderId);
      assert.ok(stands.state < OrderState.PAID);
      await shop.restart(name);
      await isPaidOnce({ userId, productId, orderId });
    });
  }

  it("is not placed while the cart is away, and the cart is as it was", async () => {
    const { userId, productId } = await shopper();
    await shop.kill("cart");
    await assert.rejects(
      shop.place(userId),
      (error) => error instanceof Failure && error.code === "UNAVAILABLE",
    );
    await shop.restart("cart");
    assert.deepEqual(await shop.cartOf(userId), [{ productId, quantity: 1 }]);
    // The order service finds the cart again in its own time.
    const orderId = await until(() => shop.place(userId, { idempotencyKey: "until-there" }));
    await isPaidOnce({ userId, productId, orderId });
  });

  it("ends once each when order is killed amid many purchases", async () => {
    const productId = await shop.offer(1_000);
    const buyers = Array.from({ length: 40 }, () => ++users);
    await Promise.all(buyers.map((userId) => shop.fill(userId, [productId, 1])));
    const wish = (userId: number) => ({ idempotencyKey: `buyer-${userId}` });
    const placing = buyers.map((userId) => shop.place(userId, wish(userId)));
    const settled = Promise.allSettled(placing);
    await Promise.any(placing);
    await shop.kill("order");
    await settled;
    await shop.restart("order");
    // Who had no answer asks again, until there is one.
    const ids = await Promise.all(
      buyers.map((userId) => until(() => shop.place(userId, wish(userId)))),
    );
    for (const [index, orderId] of ids.entries()) {
      const { state } = await shop.ended(buyers[index] as number, orderId);
      assert.equal(state, OrderState.PAID);
      await shop.over(orderId);
      assert.deepEqual(await shop.ledger(orderId), PAID_ONCE);
    }
    assert.deepEqual(await shop.units(productId), { available: 960, held: 0, sold: 40 });
  });

  it("runs to its end when its user is deleted meanwhile", async () => {
    const purchase = await waiting();
    const { userId } = purchase;
    await shop.cart.batchErase({ items: [as(userId)] }, options());
    await isPaidOnce(purchase);
    assert.equal(await take(userId, purchase.orderId), CheckoutState.EMPTY);
  });

  it("that is paid is not changed by anything late or repeated", async () => {
    const purchase = await shopper();
    const orderId = await shop.place(purchase.userId);
    await shop.over(orderId);
    for (let times = 0; times < 2; times += 1) {
      const late = await shop.late({ ...purchase, orderId });
      assert.deepEqual(late, { reservation: "SOLD", payment: "CHARGED", checkout: "ENDED" });
      await isPaidOnce({ ...purchase, orderId });
    }
  });

  it("that failed is not changed by anything late or repeated", async () => {
    const { userId, productId } = await shopper();
    const declined = { paymentMethod: "declined" };
    const orderId = await shop.place(userId, declined);
    await shop.over(orderId);
    for (let times = 0; times < 2; times += 1) {
      const late = await shop.late({ userId, orderId, productId, ...declined });
      assert.deepEqual(late, { reservation: "RELEASED", payment: "DECLINED", checkout: "ENDED" });
      assert.equal((await shop.get(userId, orderId)).state, OrderState.PAYMENT_FAILED);
      assert.deepEqual(await shop.ledger(orderId), [{ state: "DECLINED", amountMinor: 1_999 }]);
      assert.deepEqual(await shop.units(productId), { available: 10, held: 0, sold: 0 });
      assert.deepEqual(await shop.cartOf(userId), [{ productId, quantity: 1 }]);
    }
  });
});

describe("a payment that stays unknown", () => {
  it("is voided after its limit; stock and cart are back, and nothing is ever charged", async (t) => {
    // The sandbox takes longer for `slow` than this shop waits for a payment.
    const shop = await startShop(
      { ORDER_PAYMENT_LIMIT_MS: "1000" },
      { PAYMENT_SANDBOX_SLOW_MS: "600000", PAYMENT_PROVIDER_TIMEOUT_MS: "500" },
    );
    t.after(() => shop.stop());
    const productId = await shop.offer(10);
    await shop.fill(1, [productId, 1]);
    const orderId = await shop.place(1, SLOW);
    const { state, reason } = await shop.ended(1, orderId);
    assert.deepEqual([state, reason], [OrderState.PAYMENT_FAILED, "PAYMENT_TIMEOUT"]);
    assert.deepEqual(await shop.units(productId), { available: 10, held: 0, sold: 0 });
    assert.deepEqual(await shop.cartOf(1), [{ productId, quantity: 1 }]);
    assert.deepEqual(await shop.ledger(orderId), [{ state: "VOID", amountMinor: 0 }]);
  });
});
