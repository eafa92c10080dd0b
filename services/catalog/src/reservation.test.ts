import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isFailure } from "@piata/kit/errors";
import { Random } from "@piata/testkit/random";
import { checkedWanted, decide, type Stock, type Wanted } from "./reservation.js";

const stockOf = (...available: number[]): Stock[] =>
  available.map((units, index) => ({
    productId: index + 1,
    available: units,
    priceMinor: (index + 1) * 100,
  }));

/** An order for quantities by product: `wants(7, { 1: 2 })`. */
const wants = (
  orderId: number,
  quantities: Record<number, number>,
  expectedTotalMinor?: number,
): Wanted => ({
  orderId,
  lines: Object.entries(quantities).map(([productId, quantity]) => ({
    productId: Number(productId),
    quantity,
  })),
  expectedTotalMinor,
});

const REFUSED = { state: "RELEASED", lines: [], totalMinor: 0 } as const;

describe("what is wanted", () => {
  const many = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [index + 1, 1]));
  const refuses = (wanted: Wanted, reason: string) =>
    assert.throws(
      () => checkedWanted(wanted),
      (error) => isFailure(error, reason) && error.code === "INVALID_ARGUMENT",
    );

  it("is 1 to 100 products", () => {
    assert.equal(checkedWanted(wants(1, many(100))).lines.length, 100);
    refuses(wants(1, {}), "LINES_INVALID");
    refuses(wants(1, many(101)), "LINES_INVALID");
  });

  it("is each product once", () => {
    const line = { productId: 1, quantity: 1 };
    refuses({ orderId: 1, lines: [line, line] }, "LINES_INVALID");
  });

  it("is a quantity of 1 to 40,000, so that every total is exact", () => {
    for (const quantity of [0, -1, 1.5, Number.NaN, 40_001]) {
      refuses(wants(1, { 1: quantity }), "LINES_INVALID");
    }
    const dearest = checkedWanted(
      wants(1, Object.fromEntries(Object.keys(many(100)).map((id) => [id, 40_000]))),
    );
    const stock = dearest.lines.map(({ productId }) => ({
      productId,
      available: 1_000_000_000,
      priceMinor: 2 ** 31 - 1,
    }));
    assert.ok(Number.isSafeInteger(decide([dearest], stock)[0]?.totalMinor));
  });

  it("is of an order and of products that can exist", () => {
    refuses(wants(0, { 1: 1 }), "ID_INVALID");
    refuses(wants(1, { 0: 1 }), "ID_INVALID");
  });
});

describe("a decision", () => {
  it("holds all of an order, at the prices found", () => {
    assert.deepEqual(decide([wants(1, { 1: 2, 2: 3 })], stockOf(2, 3)), [
      {
        orderId: 1,
        state: "HELD",
        lines: [
          { productId: 1, quantity: 2, unitPriceMinor: 100 },
          { productId: 2, quantity: 3, unitPriceMinor: 200 },
        ],
        totalMinor: 800,
        refusalReason: "",
        shortages: [],
      },
    ]);
  });

  it("holds nothing of an order that lacks one unit of one product, and names what lacks", () => {
    assert.deepEqual(decide([wants(1, { 1: 2, 2: 4, 3: 9 })], stockOf(2, 3, 8)), [
      {
        orderId: 1,
        ...REFUSED,
        refusalReason: "OUT_OF_STOCK",
        shortages: [
          { productId: 2, quantity: 4, unitsAvailable: 3 },
          { productId: 3, quantity: 9, unitsAvailable: 8 },
        ],
      },
    ]);
  });

  it("is made in order: what one takes is gone for the next", () => {
    const orders = [wants(1, { 1: 3 }), wants(2, { 1: 3 }), wants(3, { 1: 2 })];
    assert.deepEqual(
      decide(orders, stockOf(5)).map(({ state }) => state),
      ["HELD", "RELEASED", "HELD"],
    );
  });

  it("leaves what one is refused for the next, of every product", () => {
    const orders = [wants(1, { 1: 5, 2: 2 }), wants(2, { 1: 5 }), wants(3, { 2: 1 })];
    assert.deepEqual(
      decide(orders, stockOf(5, 1)).map(({ state }) => state),
      ["RELEASED", "HELD", "HELD"],
    );
  });

  it("refuses an unknown product as such, with what else lacks", () => {
    assert.deepEqual(decide([wants(1, { 1: 9, 8: 1 })], stockOf(5)), [
      {
        orderId: 1,
        ...REFUSED,
        refusalReason: "PRODUCT_NOT_FOUND",
        shortages: [
          { productId: 1, quantity: 9, unitsAvailable: 5 },
          { productId: 8, quantity: 1, unitsAvailable: 0 },
        ],
      },
    ]);
  });

  it("refuses a total other than the expected one, in either direction", () => {
    const orders = [wants(1, { 1: 2 }, 200), wants(2, { 1: 2 }, 199), wants(3, { 1: 2 }, 0)];
    assert.deepEqual(
      decide(orders, stockOf(9)).map(({ refusalReason }) => refusalReason),
      ["", "PRICE_CHANGED", "PRICE_CHANGED"],
    );
  });

  it("leaves the stock that it was given as it was", () => {
    const stock = stockOf(5);
    decide([wants(1, { 1: 5 })], stock);
    assert.deepEqual(stock, stockOf(5));
  });

  it("never takes more than there is, whatever comes in whatever order", () => {
    for (let seed = 1; seed <= 300; seed += 1) {
      const random = new Random(seed);
      const below = (bound: number) => random.integer(0, bound - 1);
      const stock = stockOf(...Array.from({ length: 1 + below(5) }, () => below(30)));
      const orders = Array.from({ length: below(20) }, (_, index) => {
        const products = stock.filter(() => below(2) === 0).map(({ productId }) => productId);
        const quantities = [1, ...products].map((productId) => [productId, 1 + below(8)]);
        return wants(index + 1, Object.fromEntries(quantities));
      });
      holdsInvariants(orders, stock, `seed ${seed}`);
    }
  });
});

/** All or nothing, never below zero, and nothing is refused that would have fitted. */
function holdsInvariants(orders: Wanted[], stock: Stock[], seed: string): void {
  const left = new Map(stock.map(({ productId, available }) => [productId, available]));
  const verdicts = decide(orders, stock);
  assert.deepEqual(
    verdicts.map(({ orderId }) => orderId),
    orders.map(({ orderId }) => orderId),
    seed,
  );
  verdicts.forEach(({ state, lines, totalMinor, shortages }, index) => {
    const order = orders[index] as Wanted;
    const fits = order.lines.every((line) => (left.get(line.productId) ?? 0) >= line.quantity);
    assert.equal(state, fits ? "HELD" : "RELEASED", seed);
    assert.equal(shortages.length === 0, fits, seed);
    assert.deepEqual(
      lines.map(({ productId, quantity }) => ({ productId, quantity })),
      fits ? order.lines : [],
      seed,
    );
    assert.equal(totalMinor > 0, fits, seed);
    for (const { productId, quantity } of lines) {
      left.set(productId, (left.get(productId) as number) - quantity);
    }
  });
  const held = verdicts.flatMap(({ lines }) => lines).reduce((sum, line) => sum + line.quantity, 0);
  const before = stock.reduce((sum, { available }) => sum + available, 0);
  const after = [...left.values()].reduce((sum, units) => sum + units, 0);
  assert.equal(before, after + held, seed);
}
