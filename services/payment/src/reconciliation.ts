/** The noun: what our book and the provider's say about a key, and where they differ. */
import type { Difference } from "@piata/contracts/payment";
import type { FinalState, Payment } from "./payment.js";
import type { ProviderEntry } from "./provider.js";
import type { Refund } from "./refund.js";

/** All that our book has for an order. */
export interface BookEntry {
  payment: Payment;
  refunds: Refund[];
  changedAt: Date;
}

/** What the two books have for one key of the provider's. */
export interface Pair {
  key: string;
  ours: BookEntry | undefined;
  theirs: ProviderEntry | undefined;
}

type Kind = "MISSING_IN_OURS" | "MISSING_AT_PROVIDER" | "STATE" | "AMOUNT" | "REFUNDS";

const KEY = /^order-([1-9]\d{0,9})$/;
const ID_MAX = 2 ** 31 - 1;

/** The order that a key is of; 0 when we never gave that key. */
export function orderIdOf(key: string): number {
  const id = Number(KEY.exec(key)?.[1] ?? 0);
  return id <= ID_MAX ? id : 0;
}

/**
 * Where the books differ about a key. What is not decided on one side is under way and no
 * difference, nor is what never moved money: a decline, or a void the provider never heard of.
 */
export function differences({ key, ours, theirs }: Pair): Difference[] {
  const differs = (kind: Kind, mine: string, other: string): Difference => ({
    orderId: orderIdOf(key),
    kind,
    ours: mine,
    theirs: other,
  });
  if (!ours) {
    if (theirs?.state !== "CHARGED") return [];
    const name = orderIdOf(key) === 0 ? ` for the key ${key}` : "";
    return [differs("MISSING_IN_OURS", "nothing", `${stateText(theirs)}${name}`)];
  }
  const { payment } = ours;
  if (!theirs) {
    if (payment.state !== "CHARGED") return [];
    return [differs("MISSING_AT_PROVIDER", stateText(payment), "nothing")];
  }
  if (payment.state === "CHARGING") return [];
  if (payment.state !== theirs.state) {
    return [differs("STATE", stateText(payment), stateText(theirs))];
  }
  if (payment.state !== "CHARGED") return [];
  const found: Difference[] = [];
  if (moneyText(payment) !== moneyText(theirs)) {
    found.push(differs("AMOUNT", stateText(payment), stateText(theirs)));
  }
  const [mine, other] = [refundsText(payment, ours.refunds), refundsText(theirs, theirs.refunds)];
  if (mine !== other) found.push(differs("REFUNDS", mine, other));
  return found;
}

interface Money {
  amountMinor: number;
  currencyCode: string;
}

const moneyText = ({ amountMinor, currencyCode }: Money): string =>
  `${amountMinor} ${currencyCode}`;

const stateText = (entry: Money & { state: FinalState | Payment["state"] }): string =>
  entry.state === "CHARGED" ? `CHARGED ${moneyText(entry)}` : entry.state;

interface GivenBack {
  refundKey: string;
  amountMinor: number;
  state: string;
}

/** The sum, and each refund: two books with one sum may still have given back different things. */
function refundsText({ currencyCode }: Money, refunds: GivenBack[]): string {
  const done = refunds.filter(({ state }) => state === "REFUNDED");
  if (done.length === 0) return "nothing REFUNDED";
  const sumMinor = done.reduce((sum, { amountMinor }) => sum + amountMinor, 0);
  const each = done.map(({ refundKey, amountMinor }) => `${refundKey} ${amountMinor}`).sort();
  return `REFUNDED ${sumMinor} ${currencyCode} (${each.join(", ")})`;
}

const CHUNK_BITS = 2 ** 15;

/** A set of ids that takes about a bit for each: a whole book's fit in memory. */
export class IdSet {
  readonly #chunks = new Map<number, Uint8Array>();

  add(id: number): void {
    const number = Math.floor(id / CHUNK_BITS);
    const chunk = this.#chunks.get(number) ?? new Uint8Array(CHUNK_BITS / 8);
    this.#chunks.set(number, chunk);
    const bit = id % CHUNK_BITS;
    chunk[bit >> 3] = (chunk[bit >> 3] as number) | (1 << (bit & 7));
  }

  has(id: number): boolean {
    const bit = id % CHUNK_BITS;
    const byte = this.#chunks.get(Math.floor(id / CHUNK_BITS))?.[bit >> 3] ?? 0;
    return (byte & (1 << (bit & 7))) !== 0;
  }
}
