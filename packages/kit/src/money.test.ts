import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { currencyDecimals, isCurrency, minorUnits, PRICE_MINOR_MAX, units } from "./money.js";

const REFUSED = { code: "INVALID_ARGUMENT", reason: "PRICE_INVALID" };

/** Whole numbers below 2^31, the same ones each time (a full-period linear congruence). */
function* sample(count: number): Generator<number> {
  let state = 20_260_101;
  for (let drawn = 0; drawn < count; drawn += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & PRICE_MINOR_MAX;
    yield state;
  }
}

const decimalText = (minor: number, decimals: number): string => {
  const digits = String(minor).padStart(decimals + 1, "0");
  return decimals === 0 ? digits : `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
};

describe("a price", () => {
  for (const [currency, decimals] of [
    ["EUR", 2],
    ["JPY", 0],
    ["KWD", 3],
    ["CLF", 4],
  ] as const) {
    it(`goes exactly into minor units and back: ${currency}`, () => {
      assert.equal(currencyDecimals(currency), decimals);
      for (const minor of [0, 1, 9, 10, 99, 100, 1999, PRICE_MINOR_MAX, ...sample(50_000)]) {
        const price = Number(decimalText(minor, decimals));
        assert.equal(minorUnits(price, currency), minor);
        assert.equal(units(minor, currency), price);
      }
    });
  }

  it("is each of the first million cents, exactly", () => {
    for (let cents = 0; cents < 1_000_000; cents += 1) {
      if (minorUnits(cents / 100, "EUR") !== cents) assert.fail(`${cents}`);
    }
  });

  it("is refused when it has more decimals than its currency, however it is written", () => {
    for (const price of [0.1 + 0.2, 19.999, 0.001, 1e-7, 1.5e-7, Number.MIN_VALUE]) {
      assert.throws(() => minorUnits(price, "EUR"), REFUSED, String(price));
    }
    assert.throws(() => minorUnits(1.5, "JPY"), REFUSED);
    assert.throws(() => minorUnits(1.0005, "KWD"), REFUSED);
    assert.throws(() => minorUnits(1.5e-7, "CLF"), REFUSED);
    assert.throws(() => minorUnits(0.001, "EUR"), {
      metadata: { field: "price", decimals: "2" },
    });
  });

  it("is refused when it is negative, too large or no number", () => {
    const largest = PRICE_MINOR_MAX / 100;
    assert.equal(minorUnits(largest, "EUR"), PRICE_MINOR_MAX);
    for (const price of [-0.01, -1, largest + 0.01, 1e21, 2 ** 53, Infinity, -Infinity, NaN]) {
      assert.throws(() => minorUnits(price, "EUR"), REFUSED, String(price));
    }
    assert.ok(Object.is(minorUnits(-0, "EUR"), 0), "minus zero is zero");
  });
});

it("a currency is one that ISO 4217 has, in capitals", () => {
  for (const code of ["EUR", "USD", "JPY", "RON", "KWD"]) assert.ok(isCurrency(code), code);
  for (const code of ["", "eur", "EURO", "E", "ZZZ"]) assert.ok(!isCurrency(code), code);
});
