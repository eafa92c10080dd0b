// Buying, in the whole shop: every end that an order can have, and the last unit of a product.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Shop, startShop } from "@piata/testkit/shop";
import {
  addToCart,
  assertBooksAgree,
  cartLines,
  customer,
  customers,
  ending,
  offer,
  order,
  untilUnits,
} from "./market.ts";

let shop: Shop;
before(async () => {
  shop = await startShop({ compact: true });
});
after(() => shop.stop());

test("a purchase is paid, and its units are sold", async () => {
  const client = await customer(shop);
  const productId = await offer(client, 5);
  await addToCart(client, productId, 2);
  const orderId = await order(client);
  assert.deepEqual(await ending(client, orderId), { value: "PAID", reason: null });
  await untilUnits(client, productId, 3);
  assert.deepEqual(await cartLines(client), {});
  await assertBooksAgree(shop);
});

test("a declined card gives the stock and the cart back", async () => {
  const client = await customer(shop);
  const productId = await offer(client, 5);
  await addToCart(client, productId, 2);
  const orderId = await order(client, "declined");
  assert.deepEqual(await ending(client, orderId), {
    value: "PAYMENT_FAILED",
    reason: "CARD_DECLINED",
  });
  await untilUnits(client, productId, 5);
  assert.deepEqual(await cartLines(client), { [productId]: 2 });
  await assertBooksAgree(shop);
});

test("more units than there are are rejected, all of the order or none", async () => {
  const client = await customer(shop);
  const scarce = await offer(client, 3);
  const plenty = await offer(client, 100);
  await addToCart(client, scarce, 4);
  await addToCart(client, plenty, 1);
  const orderId = await order(client);
  assert.deepEqual(await ending(client, orderId), {
    value: "ITEMS_REJECTED",
    reason: "OUT_OF_STOCK",
  });
  await untilUnits(client, scarce, 3);
  await untilUnits(client, plenty, 100);
  assert.deepEqual(await cartLines(client), { [scarce]: 4, [plenty]: 1 });
});

test("a lost answer of the payment provider is charged once", async () => {
  const client = await customer(shop);
  const productId = await offer(client, 5);
  await addToCart(client, productId, 1);
  const orderId = await order(client, "answer-lost");
  assert.deepEqual(await ending(client, orderId), { value: "PAID", reason: null });
  await assertBooksAgree(shop);
});

test("what is added while an order is under way stays, also when the order fails", async () => {
  const client = await customer(shop);
  const productId = await offer(client, 50);
  await addToCart(client, productId, 2);
  const orderId = await order(client, "slow");
  await addToCart(client, productId, 3);
  assert.deepEqual(await cartLines(client), { [productId]: 3 });
  await ending(client, orderId);
  assert.deepEqual(await cartLines(client), { [productId]: 3 });
});

test("parallel additions to one cart are all kept", async () => {
  const client = await customer(shop);
  const productId = await offer(client, 50);
  await Promise.all(Array.from({ length: 50 }, () => addToCart(client, productId, 1)));
  assert.deepEqual(await cartLines(client), { [productId]: 50 });
});

test("200 parallel buyers of 100 units end in exactly 100 units sold", async () => {
  const seller = await customer(shop);
  const productId = await offer(seller, 100);
  const buyers = await customers(shop, 200);
  await Promise.all(buyers.map((buyer) => addToCart(buyer, productId, 1)));
  const endings = await Promise.all(
    buyers.map(async (buyer) => (await ending(buyer, await order(buyer))).value),
  );
  const count = (value: string) => endings.filter((end) => end === value).length;
  assert.deepEqual([count("PAID"), count("ITEMS_REJECTED")], [100, 100]);
  await untilUnits(seller, productId, 0);
  await assertBooksAgree(shop);
});
