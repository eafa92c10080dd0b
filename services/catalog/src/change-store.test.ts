import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Queries, statement } from "@piata/kit/pg";
import { gate } from "@piata/kit/trial";
import { type Change, ChangeStore } from "./change-store.js";
import { type CatalogDatabase, openDatabase, product } from "./fixture.js";
import { newProduct } from "./product.js";
import { CatalogStore } from "./store.js";

const ROUNDS = process.env.PIATA_TEST_LONG === "1" ? 2_000 : 200;
const OPTIONS = { currencyCode: "EUR", writesPerDay: 1_000_000, categoriesMax: 1_000 };

const RESTOCK = statement(
  "test_restock",
  "update stock set available = available + 1 where product_id = $1",
);
const RENAME_CATEGORY = statement("test_rename", "update categories set name = $2 where id = $1");
const CHANGE_PRICE = statement("test_price", "update products set price_minor = 1 where id = $1");
const UNSHELVE = statement("test_unshelve", "delete from product_categories where product_id = $1");
const AGE = statement(
  "test_age",
  "update changes set created_at = now() - interval '61 seconds' where created_at > $1",
);
const COUNT = statement("test_count", "select count(*)::integer as count from changes");
const FOREIGN = statement(
  "test_foreign",
  `insert into changes (tx, product_ids, created_at)
   values ('99999999999999', '{1}', now() - interval '2 minutes')`,
);

let database: CatalogDatabase;
let store: CatalogStore;
let changes: ChangeStore;
let orderIds = 0;

before(async () => {
  database = await openDatabase();
  store = new CatalogStore(database.db, OPTIONS);
  changes = new ChangeStore(database.connect());
});
after(() => database.drop());

async function newProductId(categoryIds: number[] = []): Promise<number> {
  const offer = { ...product(), unitsAvailable: 1_000, categoryIds };
  return (await store.createProduct(newProduct(offer, { sellerId: 1, currencyCode: "EUR" }))).id;
}

const reserve = async (quantity: number, ...productIds: number[]): Promise<number> => {
  const orderId = ++orderIds;
  await store.reserve([
    { orderId, lines: productIds.map((productId) => ({ productId, quantity })) },
  ]);
  return orderId;
};

/** What `work` changed, as a reader finds it who looked before it. */
async function changedBy(work: () => Promise<unknown>): Promise<Change> {
  const { snapshot } = await changes.findChanges();
  await work();
  const { productIds, categories } = await changes.findChanges(snapshot);
  return { productIds: productIds.sort((a, b) => a - b), categories };
}

const nothing = { productIds: [], categories: false };

describe("a change", () => {
  it("is written by an order that takes units or gives them back, not by one that buys them", async () => {
    const [a, b] = [await newProductId(), await newProductId()];
    let orderId = 0;
    const take = async () => {
      orderId = await reserve(1, a, b);
    };
    assert.deepEqual(await changedBy(take), { productIds: [a, b], categories: false });
    const sold = await changedBy(() => store.settle([orderId], "SOLD"));
    assert.deepEqual(sold, nothing);
    await take();
    const released = await changedBy(() => store.settle([orderId], "RELEASED"));
    assert.deepEqual(released, { productIds: [a, b], categories: false });
  });

  it("is not written by an order that is refused or repeated, or that was never there", async () => {
    const id = await newProductId();
    assert.deepEqual(await changedBy(() => reserve(1_001, id)), nothing);
    assert.deepEqual(await changedBy(() => store.settle([++orderIds], "RELEASED")), nothing);
    const orderId = await reserve(1, id);
    const again = { orderId, lines: [{ productId: id, quantity: 1 }] };
    assert.deepEqual(await changedBy(() => store.reserve([again])), nothing);
  });

  it("is one row for a whole batch", async () => {
    const ids = await Promise.all(Array.from({ length: 20 }, () => newProductId()));
    const rows = async () => (await database.db.rows<{ count: number }>(COUNT))[0]?.count ?? 0;
    const before = await rows();
    const orders = ids.map((productId) => ({
      orderId: ++orderIds,
      lines: [{ productId, quantity: 1 }],
    }));
    await store.reserve(orders);
    assert.equal((await rows()) - before, 1);
  });

  it("is written for what is done by hand, too", async () => {
    const category = await store.createCategory({ name: "Old", description: "", createdBy: 1 });
    const id = await newProductId([category.id]);
    const { db } = database;
    const only = { productIds: [id], categories: false };
    assert.deepEqual(await changedBy(() => db.rows(RESTOCK, [id])), only);
    assert.deepEqual(await changedBy(() => db.rows(CHANGE_PRICE, [id])), only);
    const renamed = await changedBy(() => db.rows(RENAME_CATEGORY, [category.id, "New"]));
    assert.deepEqual(renamed, { productIds: [id], categories: true });
    assert.deepEqual(await changedBy(() => db.rows(UNSHELVE, [id])), only);
    const unchanged = () => db.rows(RESTOCK, [2_147_483_647]);
    assert.deepEqual(await changedBy(unchanged), nothing);
  });

  it("is the list's when a category is created, and not when its name is taken", async () => {
    const create = () => store.createCategory({ name: "Lamps", description: "", createdBy: 1 });
    assert.deepEqual(await changedBy(create), { productIds: [], categories: true });
    assert.deepEqual(await changedBy(() => create().catch(() => undefined)), nothing);
  });
});

describe("a reader that looks again and again", () => {
  /** A transaction that has written, and waits. */
  async function openTransaction(id: number) {
    const [written, end] = [gate(), gate()];
    const committed = database.db.transaction(async (tx: Queries) => {
      await tx.rows(RESTOCK, [id]);
      written.resolve();
      await end.promise;
    });
    await written.promise;
    return {
      commit: async () => {
        end.resolve();
        await committed;
      },
    };
  }

  it("finds what began early and was committed late, once, and nothing twice", async () => {
    const [late, early] = [await newProductId(), await newProductId()];
    const first = await changes.findChanges();
    const transaction = await openTransaction(late);
    await database.db.rows(RESTOCK, [early]);
    const second = await changes.findChanges(first.snapshot);
    assert.deepEqual(second.productIds, [early]);
    const third = await changes.findChanges(second.snapshot);
    assert.deepEqual(third.productIds, []);
    await transaction.commit();
    const fourth = await changes.findChanges(third.snapshot);
    assert.deepEqual(fourth.productIds, [late]);
    assert.deepEqual((await changes.findChanges(fourth.snapshot)).productIds, []);
  });

  it(`finds each of ${ROUNDS} changes by eight writers exactly once`, async () => {
    const id = await newProductId();
    const ids = await Promise.all(Array.from({ length: 8 }, () => newProductId()));
    let { snapshot } = await changes.findChanges();
    let [found, writing] = [0, true];
    const insert = statement("test_tell", "insert into changes (product_ids) values ($1)");
    const writers = Promise.all(
      ids.map(async (_, writer) => {
        for (let round = writer; round < ROUNDS; round += ids.length) {
          await database.db.rows(insert, [[id + 1_000_000 + round]]);
        }
      }),
    ).finally(() => {
      writing = false;
    });
    const look = async () => {
      const seen = await changes.findChanges(snapshot);
      snapshot = seen.snapshot;
      found += seen.productIds.length;
    };
    while (writing) await look();
    await writers;
    await look();
    assert.equal(found, ROUNDS);
  });
});

describe("the deletion of old changes", () => {
  const rows = async () => (await database.db.rows<{ count: number }>(COUNT))[0]?.count ?? 0;
  const age = () => database.db.rows(AGE, ["-infinity"]);

  it("takes what is older than a minute and was over at the last one", async () => {
    const id = await newProductId();
    const before = await changes.deleteChanges();
    assert.ok((await rows()) > 0);
    await age();
    const next = await changes.deleteChanges(before);
    assert.equal(await rows(), 0);
    await database.db.rows(RESTOCK, [id]);
    await changes.deleteChanges(await changes.deleteChanges(next));
    assert.equal(await rows(), 1, "it is young");
  });

  it("leaves what was committed late, however old its rows are, until everybody has seen it", async () => {
    const id = await newProductId();
    const { snapshot } = await changes.findChanges();
    const [written, end] = [gate(), gate()];
    const late = database.db.transaction(async (tx: Queries) => {
      await tx.rows(RESTOCK, [id]);
      await tx.rows(AGE, ["-infinity"]);
      written.resolve();
      await end.promise;
    });
    await written.promise;
    const before = await changes.deleteChanges();
    end.resolve();
    await late;
    const next = await changes.deleteChanges(before);
    assert.deepEqual((await changes.findChanges(snapshot)).productIds, [id]);
    await changes.deleteChanges(next);
    assert.equal(await rows(), 0);
  });

  it("takes what came with a copy of another server, whose transactions are yet to come", async () => {
    await database.db.rows(FOREIGN);
    const { snapshot } = await changes.findChanges();
    await changes.deleteChanges();
    assert.deepEqual((await changes.findChanges(snapshot)).productIds, []);
  });
});
