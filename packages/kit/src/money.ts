/** Money is whole minor units of one currency; these are the ways in and out of that. */
import { invalidArgument } from "./errors.js";

/** The largest price of one unit: what GraphQL's Int and protobuf's int32 hold. */
export const PRICE_MINOR_MAX = 2 ** 31 - 1;

const decimalsOf = new Map<string, number>();

/** How many decimals a currency has (2 for EUR, 0 for JPY), by ISO 4217 as Node knows it. */
export function currencyDecimals(currencyCode: string): number {
  let decimals = decimalsOf.get(currencyCode);
  if (decimals === undefined) {
    const format = new Intl.NumberFormat("en", { style: "currency", currency: currencyCode });
    decimals = format.resolvedOptions().maximumFractionDigits ?? 2;
    decimalsOf.set(currencyCode, decimals);
  }
  return decimals;
}

const CURRENCIES: ReadonlySet<string> = new Set(Intl.supportedValuesOf("currency"));

export const isCurrency = (code: string): boolean => CURRENCIES.has(code);

/**
 * The minor units of a price that was written as a decimal number, exactly.
 * Throws INVALID_ARGUMENT / PRICE_INVALID when it is negative, too large or has too many decimals.
 */
export function minorUnits(price: number, currencyCode: string): number {
  const decimals = currencyDecimals(currencyCode);
  const largest = PRICE_MINOR_MAX / 10 ** decimals;
  if (!Number.isFinite(price) || price < 0 || price > largest) {
    throw invalidArgument("PRICE_INVALID", `price must be from 0 to ${largest}.`, {
      field: "price",
    });
  }
  // The shortest decimal that is this number: 19.99, not 19.989999999999998.
  const text = String(price);
  const [whole = "0", fraction = ""] = text.split(".");
  // Written with an exponent, it is below 0.000001: more decimals than any currency has.
  if (fraction.length > decimals || text.includes("e")) {
    throw invalidArgument(
      "PRICE_INVALID",
      `price may have at most ${decimals} decimals in ${currencyCode}.`,
      { field: "price", decimals: String(decimals) },
    );
  }
  return Number(whole + fraction.padEnd(decimals, "0"));
}

/** An amount in units of its currency: 1999 EUR cents are 19.99. */
export const units = (amountMinor: number, currencyCode: string): number =>
  amountMinor / 10 ** currencyDecimals(currencyCode);
