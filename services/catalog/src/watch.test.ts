import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { WatchCatalogResponse } from "@piata/contracts/catalog";
import { statement } from "@piata/kit/pg";
import { as } from "@piata/testkit/identity";
import {
  type CatalogDatabase,
  openDatabase,
  options,
  type RunningCatalog,
  startCatalog,
} from "./fixture.js";

const RESTOCK = statement(
  "test_restock",
  "update stock set available = available + 1 where product_id = $1",
);
/** How late a machine that is busy with other tests may be. */
const PATIENCE_MS = 5_000;

let database: CatalogDatabase;
let one: RunningCatalog;
let other: RunningCatalog;
let orderIds = 0;

before(async () => {
  database = await openDatabase();
  [one, other] = await Promise.all([startCatalog(database.url), startCatalog(database.url)]);
});
after(async () => {
  await Promise.all([one.stop(), other.stop()]);
  await database.drop();
});

/** A watch that has begun. */
async function watch(instance: RunningCatalog) {
  const stop = new AbortController();
  const stream = instance.rpc.watchCatalog({}, stop.signal)[Symbol.asyncIterator]();
  await stream.next();
  /** Resolves to how long it took until the stream said so, from `startedMs` on. */
  const heard = async (isIt: (change: WatchCatalogResponse) => boolean, startedMs: number) => {
    for (;;) {
      const { value, done } = await stream.next();
      assert.ok(!done, "the stream ended");
      if (isIt(value)) return performance.now() - startedMs;
      assert.ok(performance.now() - startedMs < PATIENCE_MS, "nothing of it was heard");
    }
  };
  return { stream, heard, stop: () => stop.abort() };
}

const reserve = (instance: RunningCatalog, productId: number) => {
  const lines = [{ productId, quantity: 1 }];
  return instance.rpc.batchReserve(
    { items: [{ ...as(0), orderId: ++orderIds, lines }] },
    options(),
  );
};

describe("a watch of the catalog", () => {
  it("tells of what this instance does, what another does and what is done by hand", async () => {
    const { id } = await one.createProduct();
    const { heard, stop } = await watch(one);
    const named = ({ productIds }: WatchCatalogResponse) => productIds.includes(id);
    const deeds: Record<string, () => Promise<unknown>> = {
      "this instance": () => reserve(one, id),
      "another instance": () => reserve(other, id),
      "by hand": () => database.db.rows(RESTOCK, [id]),
    };
    for (const [who, deed] of Object.entries(deeds)) {
      await deed();
      console.log(`${who}: told ${(await heard(named, performance.now())).toFixed(1)} ms after it`);
    }
    stop();
  });

  it("tells of a new category, wherever it was created", async () => {
    const { heard, stop } = await watch(one);
    for (const instance of [one, other]) {
      await instance.createCategory(`Shelf ${crypto.randomUUID()}`);
      await heard(({ categories }) => categories, performance.now());
    }
    stop();
  });

  it("says at least every 300 ms that nothing else has changed", async () => {
    const { stream, stop } = await watch(one);
    const gapsMs: number[] = [];
    for (let message = 0; message < 10; message += 1) {
      const startedMs = performance.now();
      await stream.next();
      gapsMs.push(performance.now() - startedMs);
    }
    stop();
    const median = gapsMs.sort((a, b) => a - b)[5] as number;
    assert.ok(median < 300, `${median} ms`);
  });

  it("ends when its instance is told to stop", async () => {
    const leaving = await startCatalog(database.url);
    const { stream } = await watch(leaving);
    const stopped = leaving.stop();
    while (!(await stream.next()).done);
    assert.equal(await stopped, 0);
  });
});
