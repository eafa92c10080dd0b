// With databases of one's own, `npm start` brings none; with a mongodb:// URL, carts live there.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { createTestDatabase } from "@piata/testkit/database";
import { didNotRun } from "@piata/testkit/did-not-run";
import { startMongo } from "@piata/testkit/mongo";
import { startShop } from "@piata/testkit/shop";
import { MongoClient } from "mongodb";
import { addToCart, cartLines, customer, ending, offer, order } from "./market.ts";

const SERVICES = ["access", "catalog", "order", "payment", "cart"];

/** URLs of databases of the test's own, by variable, and how to be rid of them. */
async function ownDatabases() {
  const env: Record<string, string> = {};
  const drops: (() => Promise<unknown>)[] = [];
  for (const service of SERVICES) {
    const database = await createTestDatabase({ template: `own_${service}` });
    drops.push(() => database.drop());
    env[`${service.toUpperCase()}_DATABASE_URL`] = database.url;
  }
  const mongo = await startMongo();
  if (mongo) {
    const url = new URL(mongo.url);
    url.pathname = `/test_${randomBytes(8).toString("hex")}`;
    env.CART_DATABASE_URL = url.href;
    drops.push(async () => {
      const client = new MongoClient(url.href);
      await client.db().dropDatabase();
      await client.close();
      await mongo.stop();
    });
  } else {
    didNotRun("a purchase with carts in MongoDB", "no server of its protocol was found");
  }
  return { env, drop: () => Promise.all(drops.map((drop) => drop())) };
}

test("a purchase goes through on the caller's own PostgreSQL and MongoDB", async () => {
  const { env, drop } = await ownDatabases();
  const shop = await startShop({ env });
  try {
    const names = (await shop.processes()).map(({ name }) => name);
    assert.equal(names.includes("postgres"), false);
    const client = await customer(shop);
    const productId = await offer(client, 5);
    await addToCart(client, productId, 2);
    assert.deepEqual(await cartLines(client), { [productId]: 2 });
    const declined = await ending(client, await order(client, "declined"));
    assert.equal(declined.value, "PAYMENT_FAILED");
    assert.deepEqual(await cartLines(client), { [productId]: 2 });
    assert.equal((await ending(client, await order(client))).value, "PAID");
    assert.deepEqual(await cartLines(client), {});
  } finally {
    await shop.stop();
    await drop();
  }
});
