import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Failure, isFailure } from "@piata/kit/errors";
import { delayMs } from "./give-back.js";
import {
  checkedRefund,
  conclude,
  decideRefunds,
  type Refund,
  type Refundable,
  type RefundTerms,
} from "./refund.js";

const charge = (other: Partial<Refundable> = {}): Refundable => ({
  orderId: 1,
  state: "CHARGED",
  amountMinor: 1_000,
  currencyCode: "EUR",
  refundedMinor: 0,
  ...other,
});
const wants = (refundKey: string, amountMinor: number, orderId = 1): RefundTerms => ({
  orderId,
  refundKey,
  amountMinor,
  currencyCode: "EUR",
});
const known = (refundKey: string, other: Partial<Refund> = {}): Refund => ({
  ...wants(refundKey, 100),
  state: "REFUNDING",
  refusalReason: "",
  tries: 0,
  ...other,
});

/** Each decision in a word: new, known, or the reason. */
const decide = (wanted: RefundTerms[], payments: Refundable[], refunds: Refund[] = []) =>
  decideRefunds(wanted, payments, refunds).map((made) =>
    made instanceof Failure ? made.reason : made.isNew ? "new" : "known",
  );

describe("refunds of one batch", () => {
  it("pass as long as they are together within the charge", () => {
    const wanted = [wants("a", 600), wants("b", 400), wants("c", 1)];
    assert.deepEqual(decide(wanted, [charge()]), ["new", "new", "REFUND_EXCEEDS_CHARGE"]);
  });

  it("pass behind one that does not fit", () => {
    const wanted = [wants("a", 1_001), wants("b", 1_000)];
    assert.deepEqual(decide(wanted, [charge()]), ["REFUND_EXCEEDS_CHARGE", "new"]);
  });

  it("count what was given back before", () => {
    const wanted = [wants("a", 301), wants("b", 300)];
    assert.deepEqual(decide(wanted, [charge({ refundedMinor: 700 })]), [
      "REFUND_EXCEEDS_CHARGE",
      "new",
    ]);
  });

  it("do not touch the charges of other orders", () => {
    const wanted = [wants("a", 1_000), wants("a", 1_000, 2)];
    assert.deepEqual(decide(wanted, [charge(), charge({ orderId: 2 })]), ["new", "new"]);
  });

  it("are one when they have one key, and a mismatch when the amounts differ", () => {
    const wanted = [wants("a", 600), wants("a", 600), wants("a", 500)];
    assert.deepEqual(decide(wanted, [charge()]), ["new", "known", "REFUND_MISMATCH"]);
  });

  it("stay with what is known under their key, whatever became of it", () => {
    const refunds = [known("a", { state: "REFUSED", refusalReason: "NO" }), known("b")];
    const wanted = [wants("a", 100), wants("b", 100), wants("b", 101)];
    assert.deepEqual(decide(wanted, [charge()], refunds), ["known", "known", "REFUND_MISMATCH"]);
    const dollars = { ...wants("b", 100), currencyCode: "USD" };
    assert.deepEqual(decide([dollars], [charge()], refunds), ["REFUND_MISMATCH"]);
  });

  it("need a charge, in their currency", () => {
    assert.deepEqual(decide([wants("a", 1)], []), ["NOT_CHARGED"]);
    for (const state of ["CHARGING", "DECLINED", "VOID"] as const) {
      assert.deepEqual(decide([wants("a", 1)], [charge({ state })]), ["NOT_CHARGED"]);
    }
    const dollars = charge({ currencyCode: "USD" });
    assert.deepEqual(decide([wants("a", 1)], [dollars]), ["AMOUNT_INVALID"]);
  });

  it("add up exactly at the largest amounts", () => {
    const amountMinor = Number.MAX_SAFE_INTEGER;
    const wanted = [wants("a", amountMinor - 1), wants("b", 2), wants("c", 1)];
    assert.deepEqual(decide(wanted, [charge({ amountMinor })]), [
      "new",
      "REFUND_EXCEEDS_CHARGE",
      "new",
    ]);
  });
});

describe("a refund", () => {
  it("ends once", () => {
    const done = conclude(known("a"), { state: "REFUNDED", refusalReason: "" });
    assert.equal(done.state, "REFUNDED");
    assert.throws(() => conclude(done, { state: "REFUSED", refusalReason: "NO" }), /1 a/);
  });

  it("is tried again later and later, within a minute, never at once", () => {
    const halves = [0, 1, 2, 3, 20, 1_000].map((tries) => delayMs(tries, () => 0));
    assert.deepEqual(halves, [100, 200, 400, 800, 30_000, 30_000]);
    assert.equal(
      delayMs(1_000, () => 1),
      60_000,
    );
  });

  const item = { orderId: 7, refundKey: "a", amount: { amountMinor: 5, currencyCode: "EUR" } };

  it("may have any visible key and any amount from 1 on", () => {
    const terms = { orderId: 7, refundKey: "a", amountMinor: 5, currencyCode: "EUR" };
    assert.deepEqual(checkedRefund(item), terms);
    const longest = "!".repeat(50) + "~".repeat(50);
    assert.equal(checkedRefund({ ...item, refundKey: longest }).refundKey, longest);
  });

  const amount = (amountMinor: number, currencyCode = "EUR") => ({
    amount: { amountMinor, currencyCode },
  });
  const bad = [
    ["an order id of 0", { orderId: 0 }, "ID_INVALID"],
    ["no amount", { amount: undefined }, "AMOUNT_INVALID"],
    ["an amount of 0", amount(0), "AMOUNT_INVALID"],
    ["2^53", amount(2 ** 53), "AMOUNT_INVALID"],
    ["no currency", amount(1, ""), "AMOUNT_INVALID"],
    ["no key", { refundKey: "" }, "REFUND_KEY_INVALID"],
    ["a key with a space", { refundKey: "a b" }, "REFUND_KEY_INVALID"],
    ["a key with an umlaut", { refundKey: "ä" }, "REFUND_KEY_INVALID"],
    ["101 characters", { refundKey: "k".repeat(101) }, "REFUND_KEY_INVALID"],
    ["a line feed", { refundKey: "a\n" }, "REFUND_KEY_INVALID"],
  ] as const;
  for (const [what, other, reason] of bad) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => checkedRefund({ ...item, ...other }),
        (error) => isFailure(error, reason) && error.code === "INVALID_ARGUMENT",
      );
    });
  }
});
