// What the customers of a run did and were told. It is held against the databases at the end.
import type { Calls } from "./call.ts";

/** What may be in a user's possession, by what they know; unknown outcomes make it a range. */
export interface Units {
  low: number;
  high: number;
}

/** Somebody who has registered. */
export interface Shopper {
  readonly userId: number;
  /** By product: what was put into the cart, less what was taken out of it by hand. */
  readonly put: Map<number, Units>;
}

/** One wish to buy what is in a cart, under one idempotency key, however often it was sent. */
export interface Purchase {
  readonly key: string;
  readonly userId: number;
  readonly paymentMethod: string;
  readonly startMs: number;
  /** Every order id that was answered. */
  readonly orderIds: number[];
  /** Every final refusal that was answered, by reason. */
  readonly refusals: string[];
  /** Every state that was shown, in the order of the answers. */
  readonly states: string[];
  /** When the first id was answered. */
  acknowledgedMs: number | undefined;
  /** When a final state was shown. */
  endMs: number | undefined;
  /** Whether cancelling was asked for, and whether that was acknowledged. */
  cancel: "no" | "asked" | "acknowledged" | "refused";
  readonly refunds: Refund[];
}

export interface Refund {
  readonly key: string;
  /** Undefined for all that is left. */
  readonly amountMinor: number | undefined;
  /** True once it was acknowledged. */
  isAcknowledged: boolean;
}

export interface Product {
  readonly id: number;
  readonly units: number;
}

export class Journal implements Calls {
  readonly products: Product[] = [];
  readonly shoppers: Shopper[] = [];
  readonly purchases: Purchase[] = [];
  requests = 0;
  /** Calls that were sent again, or several times at once. */
  repeats = 0;
  readonly failures = new Map<string, number>();
  acknowledged = 0;
  readonly #onAcknowledged: (orders: number) => void;

  constructor(onAcknowledged: (orders: number) => void = () => undefined) {
    this.#onAcknowledged = onAcknowledged;
  }

  newShopper(userId: number): Shopper {
    const shopper = { userId, put: new Map<number, Units>() };
    this.shoppers.push(shopper);
    return shopper;
  }

  newPurchase(userId: number, key: string, paymentMethod: string): Purchase {
    const purchase: Purchase = {
      key,
      userId,
      paymentMethod,
      startMs: performance.now(),
      orderIds: [],
      refusals: [],
      states: [],
      acknowledgedMs: undefined,
      endMs: undefined,
      cancel: "no",
      refunds: [],
    };
    this.purchases.push(purchase);
    return purchase;
  }

  acknowledge(purchase: Purchase, orderId: number): void {
    purchase.orderIds.push(orderId);
    if (purchase.orderIds.length > 1) return;
    purchase.acknowledgedMs = performance.now();
    this.acknowledged += 1;
    this.#onAcknowledged(this.acknowledged);
  }

  /** A state of the purchase's order that was shown; true when it is final. */
  saw(purchase: Purchase, state: string): boolean {
    if (purchase.states.at(-1) !== state) purchase.states.push(state);
    const final = isFinal(state);
    if (final) purchase.endMs ??= performance.now();
    return final;
  }
}

const FINAL: ReadonlySet<string> = new Set(["PAID", "PAYMENT_FAILED", "ITEMS_REJECTED"]);

export const isFinal = (state: string): boolean => FINAL.has(state);

/** Moves the range: by what was acknowledged, or by what may or may not have happened. */
export function change(shopper: Shopper, productId: number, by: number, isKnown: boolean): void {
  const { low, high } = shopper.put.get(productId) ?? { low: 0, high: 0 };
  shopper.put.set(productId, {
    low: low + (isKnown ? by : Math.min(0, by)),
    high: high + (isKnown ? by : Math.max(0, by)),
  });
}
