import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  type CreateProductRequest,
  type Product,
  ReservationState,
} from "@piata/contracts/catalog";
import { Role } from "@piata/contracts/item";
import type { Status } from "@piata/contracts/rpc/status";
import { Failure, fromStatus } from "@piata/kit/errors";
import { as } from "@piata/testkit/identity";
import {
  type CatalogDatabase,
  openDatabase,
  options,
  type RunningCatalog,
  startCatalog,
} from "./fixture.js";

const { HELD, SOLD, RELEASED } = ReservationState;

let database: CatalogDatabase;
let catalog: RunningCatalog;
/** An instance of a shop with one seller, and little patience. */
let strict: RunningCatalog;
let orderIds = 0;

before(async () => {
  database = await openDatabase();
  const strictly = { CATALOG_WRITERS: "staff", CATALOG_WRITES_PER_DAY: "2" };
  [catalog, strict] = await Promise.all([
    startCatalog(database.url),
    startCatalog(database.url, strictly),
  ]);
});
after(async () => {
  assert.deepEqual(await Promise.all([catalog.stop(), strict.stop()]), [0, 0]);
  await database.drop();
});

const reasonOf = ({ failure }: { failure?: Status | undefined }): string => {
  if (!failure) return "";
  const { code, reason } = fromStatus(failure);
  return `${code} / ${reason}`;
};
const refuses = (call: Promise<unknown>, expected: string) =>
  assert.rejects(
    call,
    (error) => error instanceof Failure && `${error.code} / ${error.reason}` === expected,
    expected,
  );

const SIGN_IN = "UNAUTHENTICATED / SIGN_IN_REQUIRED";
const BAD_ID = "INVALID_ARGUMENT / ID_INVALID";
const BAD_LINES = "INVALID_ARGUMENT / LINES_INVALID";
const WRONG_STATE = "FAILED_PRECONDITION / RESERVATION_STATE";

describe("products", () => {
  it("are answered in the order asked, and what is wrong with one is its own", async () => {
    const category = await catalog.createCategory("Lights");
    const one = await catalog.createProduct({ categoryIds: [category.id] });
    const other = await catalog.createProduct({ name: "Chair", imageUrl: "" });
    const asked = [other.id, 0, one.id, -1, 2_000_000_000, other.id];
    const items = asked.map((productId) => ({ productId }));
    const { results } = await catalog.rpc.batchGetProducts({ items }, options());
    const missing = "NOT_FOUND / PRODUCT_NOT_FOUND";
    assert.deepEqual(results.map(reasonOf), ["", BAD_ID, "", BAD_ID, missing, ""]);
    assert.deepEqual(results[2]?.product, {
      id: one.id,
      name: "Lamp",
      price: { amountMinor: 1_999, currencyCode: "EUR" },
      unitsAvailable: 10,
      imageUrl: "/images/lamp.svg",
      categories: [{ id: category.id, name: "Lights" }],
      sellerId: 1,
    });
    assert.deepEqual([results[0]?.product, results[5]?.product], [other, other]);
  });

  it("come in pages, all of them or those of a category, each once", async () => {
    const { id: categoryId } = await catalog.createCategory("Paged");
    const created: Product[] = [];
    for (const categoryIds of [[categoryId], [], [categoryId], [categoryId]]) {
      created.push(await catalog.createProduct({ categoryIds }));
    }
    const pages = async (request: { categoryId: number; pageSize: number }) => {
      const sizes: number[] = [];
      const ids: number[] = [];
      for (let pageToken: string | undefined = ""; pageToken !== undefined; ) {
        const page = await catalog.rpc.listProducts({ ...request, pageToken }, options());
        sizes.push(page.products.length);
        ids.push(...page.products.map(({ id }) => id));
        pageToken = page.nextPageToken || undefined;
      }
      return { sizes, ids };
    };
    const inCategory = [created[0], created[2], created[3]].map((one) => one?.id);
    assert.deepEqual(await pages({ categoryId, pageSize: 2 }), { sizes: [2, 1], ids: inCategory });
    assert.deepEqual(await pages({ categoryId, pageSize: 3 }), { sizes: [3], ids: inCategory });
    assert.deepEqual(await pages({ categoryId: 2_000_000_000, pageSize: 2 }), {
      sizes: [0],
      ids: [],
    });
    const { ids } = await pages({ categoryId: 0, pageSize: 0 });
    assert.deepEqual(
      ids,
      [...new Set(ids)].sort((a, b) => a - b),
    );
    for (const { id } of created) assert.ok(ids.includes(id));
  });

  it("have no page of a wrong size, token or category", async () => {
    const list = (other: { pageSize?: number; pageToken?: string; categoryId?: number }) =>
      catalog.rpc.listProducts({ pageSize: 0, pageToken: "", categoryId: 0, ...other }, options());
    const badPage = "INVALID_ARGUMENT / PAGE_INVALID";
    await refuses(list({ pageSize: -1 }), badPage);
    await refuses(list({ pageSize: 101 }), badPage);
    await refuses(list({ pageToken: Buffer.from("one").toString("base64url") }), badPage);
    await refuses(list({ pageToken: Buffer.from("-1").toString("base64url") }), badPage);
    await refuses(list({ categoryId: -1 }), BAD_ID);
  });

  it("are refused with the reason and the field when they are not well-formed", async () => {
    const invalid = (reason: string) => `INVALID_ARGUMENT / ${reason}`;
    const refusals: [Partial<CreateProductRequest>, string][] = [
      [{ context: undefined }, SIGN_IN],
      [as(0), SIGN_IN],
      [{ name: " " }, invalid("NAME_INVALID")],
      [{ price: -1 }, invalid("PRICE_INVALID")],
      [{ price: 1.005 }, invalid("PRICE_INVALID")],
      [{ imageUrl: "javascript:1" }, invalid("IMAGE_URL_INVALID")],
      [{ unitsAvailable: -1 }, invalid("UNITS_INVALID")],
      [{ categoryIds: [1, 1] }, invalid("CATEGORIES_INVALID")],
      [{ categoryIds: [2_000_000_000] }, "NOT_FOUND / CATEGORY_NOT_FOUND"],
    ];
    for (const [change, expected] of refusals) {
      await refuses(catalog.createProduct(change), expected);
    }
  });
});

describe("categories", () => {
  it("are created once and listed by name", async () => {
    const created = await catalog.createCategory("Books");
    await refuses(catalog.createCategory(" Books "), "ALREADY_EXISTS / CATEGORY_NAME_TAKEN");
    const { categories } = await catalog.rpc.listCategories({}, options());
    assert.deepEqual(
      categories.filter(({ name }) => name === "Books"),
      [created],
    );
    const names = categories.map(({ name }) => name);
    assert.deepEqual(names, names.toSorted());
  });

  it("are refused with the reason when they are not well-formed", async () => {
    const create = (name: string, description: string, userId = 1) =>
      catalog.rpc.createCategory({ ...as(userId), name, description }, options());
    await refuses(create("Toys", "", 0), SIGN_IN);
    await refuses(create("", ""), "INVALID_ARGUMENT / NAME_INVALID");
    await refuses(create("Toys", "x".repeat(1_001)), "INVALID_ARGUMENT / DESCRIPTION_INVALID");
  });
});

describe("who may write", () => {
  it("is the staff alone in a shop with one seller", async () => {
    const staffOnly = "PERMISSION_DENIED / STAFF_ONLY";
    await refuses(strict.createProduct(as(5)), staffOnly);
    await refuses(strict.createCategory("Closed", 5), staffOnly);
    await refuses(strict.createProduct(as(0)), SIGN_IN);
    assert.equal((await strict.createProduct(as(5, Role.STAFF))).sellerId, 5);
  });

  it("is nobody beyond the quota of a day", async () => {
    const usedUp = "RESOURCE_EXHAUSTED / WRITE_QUOTA_USED_UP";
    const createCategory = (name: string) =>
      strict.rpc.createCategory({ ...as(6, Role.STAFF), name, description: "" }, options());
    for (const name of ["One", "Two"]) await createCategory(name);
    await refuses(createCategory("Three"), usedUp);
    for (let count = 0; count < 2; count += 1) await strict.createProduct(as(6, Role.STAFF));
    await refuses(strict.createProduct(as(6, Role.STAFF)), usedUp);
  });
});

describe("reservations", () => {
  type Lines = [productId: number, quantity: number][];
  const item = (orderId: number, lines: Lines, expectedTotalMinor?: number) => ({
    orderId,
    expectedTotalMinor,
    lines: lines.map(([productId, quantity]) => ({ productId, quantity })),
  });
  const reserve = async (...items: ReturnType<typeof item>[]) =>
    (await catalog.rpc.batchReserve({ items }, options())).results;
  const settle = async (how: "batchSell" | "batchRelease", ...ids: number[]) => {
    const items = ids.map((orderId) => ({ orderId }));
    return (await catalog.rpc[how]({ items }, options())).results;
  };

  it("hold the units and tell the prices, or say what there is too little of", async () => {
    const { id } = await catalog.createProduct({ unitsAvailable: 5 });
    const [first, second] = [++orderIds, ++orderIds];
    const [held, refused] = await reserve(item(first, [[id, 4]]), item(second, [[id, 2]]));
    assert.deepEqual(held?.reservation, {
      state: HELD,
      lines: [{ productId: id, quantity: 4, unitPriceMinor: 1_999 }],
      refusalReason: "",
      shortages: [],
      total: { amountMinor: 7_996, currencyCode: "EUR" },
    });
    assert.deepEqual(refused?.reservation, {
      state: RELEASED,
      lines: [],
      refusalReason: "OUT_OF_STOCK",
      shortages: [{ productId: id, quantity: 2, unitsAvailable: 1 }],
      total: { amountMinor: 0, currencyCode: "EUR" },
    });
    assert.deepEqual(await database.units(id), { available: 1, held: 4, sold: 0 });
  });

  it("are refused for an unknown product and for a price that has changed", async () => {
    const { id } = await catalog.createProduct();
    const results = await reserve(
      item(++orderIds, [[2_000_000_000, 1]]),
      item(++orderIds, [[id, 1]], 1_998),
      item(++orderIds, [[id, 1]], 1_999),
    );
    assert.deepEqual(
      results.map(({ reservation }) => reservation?.refusalReason),
      ["PRODUCT_NOT_FOUND", "PRICE_CHANGED", ""],
    );
  });

  it("of a bad item leave its neighbours alone", async () => {
    const { id } = await catalog.createProduct({ unitsAvailable: 2 });
    const [one, other] = [++orderIds, ++orderIds];
    const results = await reserve(
      item(one, [[id, 1]]),
      item(0, [[id, 1]]),
      item(++orderIds, [[-1, 1]]),
      item(++orderIds, []),
      item(++orderIds, [[id, 0]]),
      item(++orderIds, [[id, 2 ** 31 - 1]]),
      item(++orderIds, [
        [id, 1],
        [id, 1],
      ]),
      item(other, [[id, 1]]),
    );
    const bad = [BAD_ID, BAD_ID, BAD_LINES, BAD_LINES, BAD_LINES, BAD_LINES];
    assert.deepEqual(results.map(reasonOf), ["", ...bad, ""]);
    assert.deepEqual(await database.units(id), { available: 0, held: 2, sold: 0 });
    const sold = await settle("batchSell", one, 0, ++orderIds);
    assert.deepEqual(sold.map(reasonOf), ["", BAD_ID, WRONG_STATE]);
    const released = await settle("batchRelease", -1, one, other);
    assert.deepEqual(released.map(reasonOf), [BAD_ID, WRONG_STATE, ""]);
    assert.deepEqual(await database.units(id), { available: 1, held: 0, sold: 1 });
  });

  it("move forward only, whatever is repeated or comes late", async () => {
    const { id } = await catalog.createProduct({ unitsAvailable: 9 });
    const [sold, released, never] = [++orderIds, ++orderIds, ++orderIds];
    await reserve(item(sold, [[id, 2]]), item(released, [[id, 3]]));
    for (let times = 0; times < 2; times += 1) {
      const sales = await settle("batchSell", sold);
      assert.equal(sales[0]?.reservation?.state, SOLD);
      const releases = await settle("batchRelease", released, never, sold);
      assert.deepEqual(releases.map(reasonOf), ["", "", WRONG_STATE]);
      assert.deepEqual((await settle("batchSell", released)).map(reasonOf), [WRONG_STATE]);
      const late = await reserve(
        item(sold, [[id, 2]]),
        item(released, [[id, 3]]),
        item(never, [[id, 1]]),
      );
      assert.deepEqual(
        late.map(({ reservation }) => reservation?.state),
        [SOLD, RELEASED, RELEASED],
      );
      assert.deepEqual(await database.units(id), { available: 7, held: 0, sold: 2 });
    }
  });

  it("are no more than 1000 in one call", async () => {
    const tooMany = "INVALID_ARGUMENT / TOO_MANY_ITEMS";
    const ids = Array.from({ length: 1_001 }, (_, index) => index + 1);
    await refuses(settle("batchRelease", ...ids), tooMany);
    await refuses(reserve(...ids.map((orderId) => item(orderId, [[1, 1]]))), tooMany);
  });

  it("survive a crash of the service", async () => {
    const { id } = await catalog.createProduct({ unitsAvailable: 3 });
    const orderId = ++orderIds;
    const killed = await startCatalog(database.url);
    const items = [item(orderId, [[id, 2]])];
    await killed.rpc.batchReserve({ items }, options());
    killed.kill();
    await killed.stop();
    assert.equal((await reserve(...items))[0]?.reservation?.state, HELD);
    assert.deepEqual(await database.units(id), { available: 1, held: 2, sold: 0 });
  });
});

describe("the shop's currency", () => {
  it("cannot become another one while there are products", async () => {
    await catalog.createProduct();
    await assert.rejects(
      startCatalog(database.url, { SHOP_CURRENCY: "USD" }),
      /SHOP_CURRENCY cannot become USD: there are products/,
    );
  });
});
