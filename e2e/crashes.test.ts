// Processes die in the middle of purchases; every order reaches its end, once.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Client } from "@piata/testkit/client";
import { type Shop, startShop } from "@piata/testkit/shop";
import { until } from "@piata/testkit/until";
import {
  addToCart,
  assertBooksAgree,
  cartLines,
  customers,
  ending,
  offer,
  order,
  unitsAvailable,
  untilUnits,
} from "./market.ts";

const METHODS = ["success", "slow", "declined", "answer-lost"];
const UNITS = 1_000;

let shop: Shop;
let buyers: Client[];
before(async () => {
  shop = await startShop();
  buyers = await customers(shop, 12);
});
after(() => shop.stop());

for (const program of ["order", "payment", "catalog", "cart", "access", "discovery", "gateway"]) {
  test(`kill -9 of ${program} during purchases: every order ends, once`, async () => {
    const productId = await offer(buyers[0] as Client, UNITS);
    await Promise.all(buyers.map((buyer) => addToCart(buyer, productId, 1)));
    const placing = buyers.map(async (buyer, index) => {
      const method = METHODS[index % METHODS.length] as string;
      return { buyer, method, orderId: await orderThrough(buyer, method, `${program}-${index}`) };
    });
    // Once the first is placed, the others are at every step of their way.
    await Promise.any(placing);
    await shop.kill(program);
    const placed = await Promise.all(placing);
    await shop.waitReady();
    await reconnected(buyers[0] as Client, productId);
    for (const { buyer, method, orderId } of placed) {
      const { value } = await until(() => ending(buyer, orderId), { timeoutMs: 90_000 });
      const paid = method !== "declined";
      assert.equal(value, paid ? "PAID" : "PAYMENT_FAILED");
      assert.deepEqual(await cartLines(buyer), paid ? {} : { [productId]: 1 });
      if (!paid) await buyer.ask("mutation { clearCart }");
    }
    const sold = placed.filter(({ method }) => method !== "declined").length;
    await untilUnits(buyers[0] as Client, productId, UNITS - sold);
    await assertBooksAgree(shop);
  });
}

test("kill -9 of PostgreSQL during purchases: every order ends, once", async () => {
  const productId = await offer(buyers[0] as Client, UNITS);
  await Promise.all(buyers.map((buyer) => addToCart(buyer, productId, 1)));
  const placed = await Promise.all(
    buyers.map(async (buyer) => ({ buyer, orderId: await order(buyer, "slow") })),
  );
  await shop.kill("postgres");
  for (const { buyer, orderId } of placed) {
    const { value } = await until(() => ending(buyer, orderId), { timeoutMs: 90_000 });
    assert.equal(value, "PAID");
  }
  await reconnected(buyers[0] as Client, productId);
  await untilUnits(buyers[0] as Client, productId, UNITS - buyers.length);
  await assertBooksAgree(shop);
});

test("kill -9 of everything: users, carts, orders and stock are as they were", async () => {
  const [buyer] = buyers as [Client];
  const productId = await offer(buyer, UNITS);
  await addToCart(buyer, productId, 3);
  const orderId = await order(buyer, "slow");
  await addToCart(buyer, productId, 5);
  const { dataDir } = shop;
  const rest = await shop.processes();
  shop.launcher.kill("SIGKILL");
  for (const { pid, name } of rest) if (name !== "launcher") killIfThere(pid);
  // In one process this time: the folder is the same.
  const again = await startShop({ dataDir, compact: true });
  try {
    const client = again.client(buyer.token);
    assert.deepEqual(await cartLines(client), { [productId]: 5 });
    assert.equal((await ending(client, orderId)).value, "PAID");
    await untilUnits(client, productId, UNITS - 3);
    await assertBooksAgree(again);
  } finally {
    await again.stop();
  }
});

/** Places an order as a careful client does: with a key, and again until there is an answer. */
function orderThrough(buyer: Client, paymentMethod: string, key: string): Promise<number> {
  return until(
    async () => {
      const { data } = await buyer.graphql<{ initOrder: { orderId: number } }>(
        `mutation ($paymentMethod: String, $key: String) {
           initOrder(paymentMethod: $paymentMethod, idempotencyKey: $key) { orderId } }`,
        { paymentMethod, key },
      );
      return data?.initOrder.orderId ?? false;
    },
    { timeoutMs: 60_000, what: `the order with key ${key}` },
  );
}

/** Until the gateway has found every service again; it tries once a second at the latest. */
async function reconnected(buyer: Client, productId: number): Promise<void> {
  await until(async () => {
    await Promise.all([
      cartLines(buyer),
      unitsAvailable(buyer, productId),
      buyer.ask("{ me { id } orders { items { id } } }"),
    ]);
    return true;
  });
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself when its launcher did.
  }
}
