import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isFailure } from "@piata/kit/errors";
import { charging, checkedTerms, move, type Payment, type State, tombstone } from "./payment.js";

const STATES: State[] = ["NONE", "CHARGING", "CHARGED", "DECLINED", "VOID"];
const TERMS = { orderId: 7, amountMinor: 1_999, currencyCode: "EUR", paymentMethod: "success" };
const item = {
  orderId: 7,
  amount: { amountMinor: 1_999, currencyCode: "EUR" },
  paymentMethod: "success",
};

const payment = (state: State): Payment => ({ ...TERMS, state, declineReason: "" });

describe("a payment", () => {
  it("begins as CHARGING, or as VOID when it is voided first", () => {
    assert.deepEqual(charging(TERMS), payment("CHARGING"));
    assert.equal(tombstone(7).state, "VOID");
  });

  it("ends as CHARGED, DECLINED or VOID", () => {
    assert.equal(move(payment("CHARGING"), "CHARGED").state, "CHARGED");
    assert.deepEqual(move(payment("CHARGING"), "DECLINED", "CARD_DECLINED"), {
      ...payment("DECLINED"),
      declineReason: "CARD_DECLINED",
    });
    assert.equal(move(payment("CHARGING"), "VOID").state, "VOID");
  });

  for (const end of ["CHARGED", "DECLINED", "VOID"] as const) {
    it(`stays ${end} for good`, () => {
      for (const state of STATES) assert.throws(() => move(payment(end), state), /order 7/);
    });
  }

  it("never goes back to NONE, nor to its end without an attempt", () => {
    assert.throws(() => move(payment("CHARGING"), "NONE"));
    assert.throws(() => move(payment("NONE"), "CHARGED"));
    assert.throws(() => move(payment("NONE"), "DECLINED"));
  });
});

describe("the terms of a charge", () => {
  it("may have any amount that is a safe integer, in any currency", () => {
    assert.deepEqual(checkedTerms(item), TERMS);
    for (const amountMinor of [0, Number.MAX_SAFE_INTEGER]) {
      const amount = { amountMinor, currencyCode: "JPY" };
      assert.equal(checkedTerms({ ...item, amount }).amountMinor, amountMinor);
    }
  });

  const bad = [
    ["an order id of 0", { orderId: 0 }, "ID_INVALID"],
    ["no amount", { amount: undefined }, "AMOUNT_INVALID"],
    ["an amount below 0", { amount: { amountMinor: -1, currencyCode: "EUR" } }, "AMOUNT_INVALID"],
    ["a fraction", { amount: { amountMinor: 0.5, currencyCode: "EUR" } }, "AMOUNT_INVALID"],
    ["2^53", { amount: { amountMinor: 2 ** 53, currencyCode: "EUR" } }, "AMOUNT_INVALID"],
    ["no currency", { amount: { amountMinor: 1, currencyCode: "" } }, "AMOUNT_INVALID"],
    ["a small currency", { amount: { amountMinor: 1, currencyCode: "eur" } }, "AMOUNT_INVALID"],
    ["a card number", { paymentMethod: "4111 1111 1111 1111" }, "PAYMENT_METHOD_INVALID"],
    ["65 characters", { paymentMethod: "m".repeat(65) }, "PAYMENT_METHOD_INVALID"],
    ["a line feed", { paymentMethod: "success\n" }, "PAYMENT_METHOD_INVALID"],
  ] as const;
  for (const [what, other, reason] of bad) {
    it(`refuse ${what}`, () => {
      assert.throws(
        () => checkedTerms({ ...item, ...other }),
        (error) => isFailure(error, reason),
      );
    });
  }
});
