// What the end-to-end tests do in a shop: sell, buy, and look at the books.
import assert from "node:assert/strict";
import type { Client } from "@piata/testkit/client";
import type { Shop } from "@piata/testkit/shop";
import { until } from "@piata/testkit/until";
import pg from "pg";

const FINAL = new Set(["PAID", "PAYMENT_FAILED", "ITEMS_REJECTED"]);

export interface OrderStatus {
  value: string;
  reason: string | null;
}

/** A client of somebody new. */
export async function customer(shop: Shop): Promise<Client> {
  const client = shop.client();
  await client.becomeNewUser();
  return client;
}

/** Many new customers, a few at a time: passwords are expensive on purpose. */
export async function customers(shop: Shop, count: number): Promise<Client[]> {
  const found: Client[] = [];
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      while (found.length < count) {
        const client = shop.client();
        found.push(client);
        await client.becomeNewUser();
      }
    }),
  );
  return found;
}

export async function offer(seller: Client, units: number, price = 10): Promise<number> {
  const { createProduct } = await seller.ask<{ createProduct: { id: number } }>(
    "mutation ($input: CreateProductInput!) { createProduct(input: $input) { id } }",
    { input: { name: "Cheese", price, unitsAvailable: units, categoriesIds: [] } },
  );
  return createProduct.id;
}

export async function addToCart(
  client: Client,
  productId: number,
  quantity: number,
): Promise<void> {
  await client.ask("mutation ($input: CartItemInput!) { addToCart(input: $input) }", {
    input: { productId, quantity },
  });
}

export async function order(client: Client, paymentMethod?: string): Promise<number> {
  const { initOrder } = await client.ask<{ initOrder: { orderId: number } }>(
    "mutation ($paymentMethod: String) { initOrder(paymentMethod: $paymentMethod) { orderId } }",
    { paymentMethod },
  );
  return initOrder.orderId;
}

/** How an order ended. */
export async function ending(client: Client, orderId: number): Promise<OrderStatus> {
  return until(
    async () => {
      const { orderStatus } = await client.ask<{ orderStatus: OrderStatus }>(
        "query ($orderId: Float!) { orderStatus(orderId: $orderId) { value reason } }",
        { orderId },
      );
      return FINAL.has(orderStatus.value) && orderStatus;
    },
    { timeoutMs: 60_000, what: `the end of order ${orderId}` },
  );
}

export async function cartLines(client: Client): Promise<Record<number, number>> {
  const { cart } = await client.ask<{
    cart: { lines: { productId: number; quantity: number }[] } | null;
  }>("{ cart { lines { productId quantity } } }");
  return Object.fromEntries((cart?.lines ?? []).map((line) => [line.productId, line.quantity]));
}

export async function unitsAvailable(client: Client, productId: number): Promise<number> {
  const { product } = await client.ask<{ product: { unitsAvailable: number } }>(
    "query ($productId: Float!) { product(id: $productId) { unitsAvailable } }",
    { productId },
  );
  return product.unitsAvailable;
}

/** Waits until so many units are shown: the gateway may know what was true a moment ago. */
export async function untilUnits(client: Client, productId: number, units: number): Promise<void> {
  await until(async () => (await unitsAvailable(client, productId)) === units, {
    timeoutMs: 10_000,
    what: `${units} units of product ${productId}`,
  });
}

/** Waits until no order owes anything, then holds the books against each other. */
export async function assertBooksAgree(shop: Shop): Promise<void> {
  await until(async () => (await openOrders(shop)) === 0, {
    timeoutMs: 60_000,
    what: "every order to have answered its last obligation",
  });
  const stock = await rows(
    shop,
    "catalog",
    "select sum(held) as held, sum(sold) as sold from stock",
  );
  const sold = await rows(
    shop,
    "order",
    `select coalesce(sum((line ->> 'quantity')::integer), 0) as sold
       from orders, jsonb_array_elements(lines) as line where state = 'PAID'`,
  );
  const paid = await rows(
    shop,
    "order",
    "select coalesce(sum(total_minor), 0) as minor, count(*) from orders where state = 'PAID'",
  );
  const charged = await rows(
    shop,
    "payment",
    `select coalesce(sum(amount_minor), 0) as minor, count(*) from payments where state = 'CHARGED'`,
  );
  const ledger = await rows(
    shop,
    "payment",
    `select coalesce(sum(amount_minor), 0) as minor, count(*)
       from sandbox.ledger where state = 'CHARGED'`,
  );
  assert.equal(stock[0]?.held, "0", "no unit is held when no order is open");
  assert.equal(stock[0]?.sold, sold[0]?.sold, "sold = units in PAID orders");
  assert.deepEqual(charged, paid, "charged = the PAID totals");
  assert.deepEqual(ledger, charged, "the provider's ledger says the same");
}

async function openOrders(shop: Shop): Promise<number> {
  const found = await rows(
    shop,
    "order",
    "select count(*) from orders where next_try_at is not null",
  );
  return Number(found[0]?.count);
}

/** Rows of a service's own database, as text. */
export async function rows(
  shop: Shop,
  service: string,
  sql: string,
): Promise<Record<string, string>[]> {
  const client = new pg.Client({ connectionString: await shop.databaseUrl(service) });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
