import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { ConfigError } from "@piata/kit/config";
import { isFailure } from "@piata/kit/errors";
import { type CatalogDatabase, openDatabase, product } from "./fixture.js";
import { newProduct } from "./product.js";
import type { Wanted } from "./reservation.js";
import { CatalogStore } from "./store.js";

const WRITES_PER_DAY = 500;
const EUR = { currencyCode: "EUR", writesPerDay: WRITES_PER_DAY, categoriesMax: 1_000 };

let database: CatalogDatabase;
let store: CatalogStore;
/** Another instance of the service. */
let other: CatalogStore;
let ids = 0;

before(async () => {
  database = await openDatabase();
  store = new CatalogStore(database.db, EUR);
  other = new CatalogStore(database.connect(), EUR);
});
after(() => database.drop());

const newIds = (count: number) => Array.from({ length: count }, () => ++ids);
const offer = (unitsAvailable: number, sellerId = 1) =>
  newProduct({ ...product(), unitsAvailable }, { sellerId, currencyCode: "EUR" });
const createProduct = async (units: number) => (await store.createProduct(offer(units))).id;

const wants = (orderId: number, ...lines: [productId: number, quantity: number][]): Wanted => ({
  orderId,
  lines: lines.map(([productId, quantity]) => ({ productId, quantity })),
});
const stateOf = async (orderId: number, wanted: Wanted) =>
  (await store.reserve([{ ...wanted, orderId }])).get(orderId)?.state;

describe("the shop's currency", () => {
  let empty: CatalogDatabase;
  before(async () => {
    empty = await openDatabase();
  });
  after(() => empty.drop());

  it("is settled, can change while there is nothing for sale, and not afterwards", async () => {
    const shop = (currencyCode: string) => new CatalogStore(empty.db, { ...EUR, currencyCode });
    await shop("EUR").settleCurrency();
    await shop("RON").settleCurrency();
    await shop("RON").settleCurrency();
    await shop("RON").createProduct(offer(1));
    await shop("RON").settleCurrency();
    await assert.rejects(
      shop("EUR").settleCurrency(),
      (error) =>
        error instanceof ConfigError && /SHOP_CURRENCY cannot become EUR/.test(error.message),
    );
  });
});

describe("categories", () => {
  const category = (name: string, createdBy = 1) => ({ name, description: "", createdBy });

  it("are unique by name when many create the same at once", async () => {
    const creations = Array.from({ length: 40 }, (_, index) =>
      (index % 2 ? store : other).createCategory(category("Lamps")),
    );
    const outcomes = await Promise.allSettled(creations);
    const refused = outcomes.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
    assert.equal(refused.length, 39);
    assert.ok(refused.every((error) => isFailure(error, "CATEGORY_NAME_TAKEN")));
    const names = (await store.listCategories()).map(({ name }) => name);
    assert.equal(names.filter((name) => name === "Lamps").length, 1);
  });

  it("are listed by name", async () => {
    for (const name of ["Zebras", "Apples"]) await store.createCategory(category(name));
    const names = (await store.listCategories()).map(({ name }) => name);
    assert.ok(names.indexOf("Apples") < names.indexOf("Zebras"));
  });
});

describe("the list of all categories", () => {
  it("stays one message, however many users add to it", async () => {
    const { length } = await store.listCategories();
    const small = new CatalogStore(database.db, { ...EUR, categoriesMax: length + 1 });
    const create = (name: string, createdBy: number) =>
      small.createCategory({ name, description: "", createdBy });
    await create("the last one", 78);
    await assert.rejects(
      create("one too many", 79),
      (error) => isFailure(error, "TOO_MANY_CATEGORIES") && error.code === "RESOURCE_EXHAUSTED",
    );
  });
});

describe("the quota of writes", () => {
  const user = 77;

  it("is a user's own, counts categories and products apart, and comes back after a day", async () => {
    const strict = new CatalogStore(database.db, { ...EUR, writesPerDay: 2 });
    const usedUp = (error: unknown) =>
      isFailure(error, "WRITE_QUOTA_USED_UP") && error.code === "RESOURCE_EXHAUSTED";
    const createCategory = (name: string, createdBy = user) =>
      strict.createCategory({ name, description: "", createdBy });
    for (const name of ["q1", "q2"]) await createCategory(name);
    for (let count = 0; count < 2; count += 1) await strict.createProduct(offer(1, user));
    await assert.rejects(createCategory("q3"), usedUp);
    await assert.rejects(strict.createProduct(offer(1, user)), usedUp);
    await createCategory("q3", user + 1);
    await database.ageWrites(user);
    await createCategory("q4");
    await strict.createProduct(offer(1, user));
  });
});

describe("products", () => {
  it("are not created with a category that is not there, nor is anything of them", async () => {
    const before = await store.listProducts(0, 1_000, 0);
    await assert.rejects(
      store.createProduct({ ...offer(1), categoryIds: [2_000_000_000] }),
      (error) => isFailure(error, "CATEGORY_NOT_FOUND") && error.code === "NOT_FOUND",
    );
    assert.deepEqual(await store.listProducts(0, 1_000, 0), before);
  });
});

describe("a reservation", () => {
  it("moves units from available to held to sold, or back", async () => {
    const [sold, released] = newIds(2) as [number, number];
    const productId = await createProduct(10);
    await store.reserve([wants(sold, [productId, 4]), wants(released, [productId, 3])]);
    assert.deepEqual(await database.units(productId), { available: 3, held: 7, sold: 0 });
    await store.settle([sold], "SOLD");
    assert.deepEqual(await database.units(productId), { available: 3, held: 3, sold: 4 });
    await store.settle([released], "RELEASED");
    assert.deepEqual(await database.units(productId), { available: 6, held: 0, sold: 4 });
  });

  it("changes nothing when any of its steps is repeated or comes late", async () => {
    const [sold, released] = newIds(2) as [number, number];
    const productId = await createProduct(10);
    const wanted = [wants(sold, [productId, 4]), wants(released, [productId, 3])];
    const first = await store.reserve(wanted);
    assert.deepEqual(await store.reserve(wanted), first);
    for (const late of ["SOLD", "RELEASED", "SOLD"] as const) {
      await Promise.all([store.settle([sold], "SOLD"), store.settle([released], "RELEASED")]);
      const settled = await store.settle([sold, released], late);
      assert.equal(settled.get(sold)?.state, "SOLD");
      assert.equal(settled.get(released)?.state, "RELEASED");
      const again = await store.reserve(wanted);
      assert.deepEqual([again.get(sold)?.state, again.get(released)?.state], ["SOLD", "RELEASED"]);
      assert.deepEqual(again.get(sold)?.lines, first.get(sold)?.lines);
      assert.deepEqual(await database.units(productId), { available: 6, held: 0, sold: 4 });
    }
  });

  it("that was refused stays refused when there is enough later", async () => {
    const [holder, late] = newIds(2) as [number, number];
    const productId = await createProduct(1);
    await store.reserve([wants(holder, [productId, 1])]);
    assert.equal(await stateOf(late, wants(late, [productId, 1])), "RELEASED");
    await store.settle([holder], "RELEASED");
    const again = (await store.reserve([wants(late, [productId, 1])])).get(late);
    assert.deepEqual([again?.state, again?.refusalReason], ["RELEASED", "OUT_OF_STOCK"]);
    assert.deepEqual(await database.units(productId), { available: 1, held: 0, sold: 0 });
  });

  it("that comes after its release changes nothing", async () => {
    const [orderId] = newIds(1) as [number];
    const productId = await createProduct(5);
    assert.equal((await store.settle([orderId], "RELEASED")).get(orderId)?.state, "RELEASED");
    assert.equal(await stateOf(orderId, wants(orderId, [productId, 5])), "RELEASED");
    assert.equal((await store.settle([orderId], "SOLD")).get(orderId)?.state, "RELEASED");
    assert.deepEqual(await database.units(productId), { available: 5, held: 0, sold: 0 });
  });

  it("is not there to be sold when it never was made", async () => {
    const [orderId] = newIds(1) as [number];
    assert.equal((await store.settle([orderId], "SOLD")).size, 0);
  });

  it("is one when its order is in a batch twice: the first one counts", async () => {
    const [orderId] = newIds(1) as [number];
    const productId = await createProduct(5);
    const twice = [wants(orderId, [productId, 2]), wants(orderId, [productId, 3])];
    assert.equal((await store.reserve(twice)).get(orderId)?.lines[0]?.quantity, 2);
    assert.deepEqual(await database.units(productId), { available: 3, held: 2, sold: 0 });
    await store.settle([orderId, orderId], "SOLD");
    assert.deepEqual(await database.units(productId), { available: 3, held: 0, sold: 2 });
  });

  it("that is asked for again takes nothing from its neighbours in the batch", async () => {
    const [known, fresh] = newIds(2) as [number, number];
    const productId = await createProduct(10);
    await store.reserve([wants(known, [productId, 5])]);
    const both = await store.reserve([wants(known, [productId, 5]), wants(fresh, [productId, 5])]);
    assert.deepEqual([both.get(known)?.state, both.get(fresh)?.state], ["HELD", "HELD"]);
    assert.deepEqual(await database.units(productId), { available: 0, held: 10, sold: 0 });
  });
});

describe("many at once", () => {
  it("hold exactly the 100 units there are when 200 want one each", async () => {
    const productId = await createProduct(100);
    const orderIds = newIds(200);
    const verdicts = await Promise.all(
      orderIds.map(async (orderId, index) => {
        const rows = await (index % 2 ? store : other).reserve([wants(orderId, [productId, 1])]);
        return rows.get(orderId)?.state;
      }),
    );
    assert.equal(verdicts.filter((state) => state === "HELD").length, 100);
    assert.deepEqual(await database.units(productId), { available: 0, held: 100, sold: 0 });
  });

  it("never deadlock nor oversell when batches want the same products in other orders", async () => {
    const deadlocksBefore = await deadlocks();
    const products = await Promise.all(Array.from({ length: 6 }, () => createProduct(60)));
    const batches = Array.from({ length: 24 }, (_, batch) => {
      const orders = newIds(10).map((orderId, index) => {
        const turn = (batch * 7 + index) % products.length;
        const turned = [...products.slice(turn), ...products.slice(0, turn)];
        if (index % 2) turned.reverse();
        return wants(orderId, ...turned.slice(0, 4).map((id): [number, number] => [id, 1]));
      });
      return batch % 2 ? orders : orders.reverse();
    });
    const verdicts = await Promise.all(
      batches.map((orders, index) => (index % 2 ? store : other).reserve(orders)),
    );
    const held = verdicts.flatMap((rows) => [...rows.values()].filter((r) => r.state === "HELD"));
    for (const productId of products) {
      const units = held.filter(({ lines }) => lines.some((l) => l.productId === productId)).length;
      const expected = { available: 60 - units, held: units, sold: 0 };
      assert.deepEqual(await database.units(productId), expected);
    }
    // Repeats, sales of the even and releases of the odd orders, all at once.
    const idsOf = (orders: Wanted[], rest: number) =>
      orders.map(({ orderId }) => orderId).filter((orderId) => orderId % 2 === rest);
    await Promise.all(
      batches.flatMap((orders) => [
        other.reserve(orders),
        store.settle(idsOf(orders, 0), "SOLD"),
        other.settle(idsOf(orders, 1), "RELEASED"),
      ]),
    );
    for (const productId of products) {
      const sold = held.filter(
        ({ orderId, lines }) => orderId % 2 === 0 && lines.some((l) => l.productId === productId),
      ).length;
      assert.deepEqual(await database.units(productId), { available: 60 - sold, held: 0, sold });
    }
    assert.equal(await deadlocks(), deadlocksBefore);
  });

  it("end consistent when reserves race the releases of the same orders", async () => {
    const deadlocksBefore = await deadlocks();
    const productId = await createProduct(1_000);
    for (let round = 0; round < 40; round += 1) {
      const orderIds = newIds(20);
      const [, released] = await Promise.all([
        store.reserve(orderIds.map((orderId) => wants(orderId, [productId, 1]))),
        other.settle(round % 2 ? orderIds.toReversed() : orderIds, "RELEASED"),
      ]);
      // Whoever came first: a release that was answered leaves nothing held.
      assert.deepEqual(
        orderIds.map((orderId) => released.get(orderId)?.state),
        orderIds.map(() => "RELEASED"),
      );
    }
    assert.deepEqual(await database.units(productId), { available: 1_000, held: 0, sold: 0 });
    assert.equal(await deadlocks(), deadlocksBefore);
  });

  it("let one of sale and release win", async () => {
    const productId = await createProduct(1_000);
    const orderIds = newIds(200);
    await store.reserve(orderIds.map((orderId) => wants(orderId, [productId, 1])));
    const chunks = Array.from({ length: 20 }, (_, index) =>
      orderIds.slice(index * 10, index * 10 + 10),
    );
    await Promise.all(
      chunks.flatMap((chunk) => [
        store.settle(chunk, "SOLD"),
        other.settle(chunk.toReversed(), "RELEASED"),
      ]),
    );
    const rows = await store.settle(orderIds, "SOLD");
    const sold = [...rows.values()].filter(({ state }) => state === "SOLD").length;
    assert.deepEqual(await database.units(productId), { available: 1_000 - sold, held: 0, sold });
  });
});

async function deadlocks(): Promise<number> {
  const sql = `select pg_stat_force_next_flush(), deadlocks::integer as count
                 from pg_stat_database where datname = current_database()`;
  const [row] = await database.db.rows<{ count: number }>({ name: "test_deadlocks", text: sql });
  return row?.count ?? 0;
}
