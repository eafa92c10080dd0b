import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Payment } from "./payment.js";
import type { ProviderEntry } from "./provider.js";
import { type BookEntry, differences, IdSet, orderIdOf } from "./reconciliation.js";
import type { Refund } from "./refund.js";

const changedAt = new Date(0);
const KEY = "order-7";

const refund = (refundKey: string, amountMinor: number, other: Partial<Refund> = {}): Refund => ({
  orderId: 7,
  refundKey,
  amountMinor,
  currencyCode: "EUR",
  state: "REFUNDED",
  refusalReason: "",
  tries: 0,
  ...other,
});
const ours = (other: Partial<Payment> = {}, refunds: Refund[] = []): BookEntry => ({
  payment: {
    orderId: 7,
    state: "CHARGED",
    amountMinor: 1_999,
    currencyCode: "EUR",
    paymentMethod: "",
    declineReason: "",
    ...other,
  },
  refunds,
  changedAt,
});
const theirs = (other: Partial<ProviderEntry> = {}): ProviderEntry => ({
  key: KEY,
  state: "CHARGED",
  declineReason: "",
  amountMinor: 1_999,
  currencyCode: "EUR",
  refunds: [],
  changedAt,
  ...other,
});
const given = (refundKey: string, amountMinor: number, state: "REFUNDED" | "REFUSED") => ({
  refundKey,
  amountMinor,
  state,
  refusalReason: state === "REFUSED" ? "NO" : "",
});
const found = (mine: BookEntry | undefined, other: ProviderEntry | undefined, key = KEY) =>
  differences({ key, ours: mine, theirs: other }).map((d) => [d.orderId, d.kind, d.ours, d.theirs]);

describe("the two books", () => {
  it("agree on the same charge, decline or void", () => {
    assert.deepEqual(found(ours(), theirs()), []);
    for (const state of ["DECLINED", "VOID"] as const) {
      // What is void is kept without an amount.
      const entry = theirs({ state, amountMinor: 0, currencyCode: "" });
      assert.deepEqual(found(ours({ state }), entry), []);
    }
  });

  it("agree while one side is not decided, or no money moved", () => {
    assert.deepEqual(found(ours({ state: "CHARGING" }), undefined), []);
    assert.deepEqual(found(ours({ state: "VOID" }), undefined), []);
    assert.deepEqual(found(undefined, theirs({ state: "DECLINED" })), []);
    assert.deepEqual(found(undefined, undefined), []);
  });

  it("differ when money was taken that only one side knows of", () => {
    assert.deepEqual(found(undefined, theirs()), [
      [7, "MISSING_IN_OURS", "nothing", "CHARGED 1999 EUR"],
    ]);
    assert.deepEqual(found(ours(), undefined), [
      [7, "MISSING_AT_PROVIDER", "CHARGED 1999 EUR", "nothing"],
    ]);
    assert.deepEqual(found(undefined, theirs({ key: "gift" }), "gift"), [
      [0, "MISSING_IN_OURS", "nothing", "CHARGED 1999 EUR for the key gift"],
    ]);
  });

  it("differ when they decided otherwise", () => {
    assert.deepEqual(found(ours({ state: "VOID" }), theirs()), [
      [7, "STATE", "VOID", "CHARGED 1999 EUR"],
    ]);
    assert.deepEqual(found(ours({ state: "DECLINED" }), theirs({ state: "VOID" })), [
      [7, "STATE", "DECLINED", "VOID"],
    ]);
  });

  it("differ when the amount or the currency does", () => {
    assert.deepEqual(found(ours(), theirs({ amountMinor: 1_998 })), [
      [7, "AMOUNT", "CHARGED 1999 EUR", "CHARGED 1998 EUR"],
    ]);
    assert.equal(found(ours(), theirs({ currencyCode: "USD" }))[0]?.[1], "AMOUNT");
  });

  it("differ when what was given back does, but not in what was refused", () => {
    const entry = theirs({ refunds: [given("b", 5, "REFUNDED"), given("a", 9, "REFUNDED")] });
    const same = [refund("a", 9), refund("b", 5)];
    assert.deepEqual(found(ours({}, same), entry), []);
    const refused = refund("c", 1, { state: "REFUSED", refusalReason: "NO" });
    assert.deepEqual(found(ours({}, [...same, refused]), entry), []);
    assert.deepEqual(found(ours({}, [refund("a", 9)]), entry), [
      [7, "REFUNDS", "REFUNDED 9 EUR (a 9)", "REFUNDED 14 EUR (a 9, b 5)"],
    ]);
    assert.equal(found(ours({}, [refund("a", 5), refund("b", 9)]), entry)[0]?.[1], "REFUNDS");
    const undone = theirs({ refunds: [given("a", 9, "REFUSED")] });
    assert.deepEqual(found(ours({}, [refund("a", 9)]), undone)[0]?.[3], "nothing REFUNDED");
  });
});

describe("the order of a key", () => {
  it("is 0 for what is not a key of ours", () => {
    assert.equal(orderIdOf("order-2147483647"), 2_147_483_647);
    for (const key of ["order-2147483648", "order-0", "order-07", "order-1x", "ORDER-1", ""]) {
      assert.equal(orderIdOf(key), 0);
    }
  });
});

describe("a set of ids", () => {
  it("has what was added and nothing else", () => {
    const ids = new IdSet();
    const some = [0, 1, 7, 8, 32_767, 32_768, 1_000_000, 2 ** 31 - 1];
    for (const id of some) ids.add(id);
    for (const id of some) assert.ok(ids.has(id), `${id}`);
    for (const id of [2, 6, 9, 32_766, 32_769, 2 ** 31 - 2]) assert.ok(!ids.has(id), `${id}`);
  });
});
