/** The noun: what is asked of a payment, the states that it has, and the way between them. */

import type { Money } from "@piata/contracts/money";
import type { BatchChargeRequest_Item } from "@piata/contracts/payment";
import { invalidArgument } from "@piata/kit/errors";
import { isCurrency } from "@piata/kit/money";
import { checkedId } from "@piata/kit/validate";

/** What an order is charged with; it cannot be charged with anything else afterwards. */
export interface Terms {
  orderId: number;
  amountMinor: number;
  currencyCode: string;
  /** A token of the provider's; empty for its default. */
  paymentMethod: string;
}

/** How a payment ends. */
export type FinalState = "CHARGED" | "DECLINED" | "VOID";
/** NONE is an order without a row. */
export type State = "NONE" | "CHARGING" | FinalState;

/** The one row that is kept per order. */
export interface Payment extends Terms {
  state: State;
  /** Of a DECLINED payment, e.g. CARD_DECLINED; empty otherwise. */
  declineReason: string;
}

/** What is true at the provider, for good. */
export interface Verdict {
  state: FinalState;
  declineReason: string;
}

// The whole life of a payment. Nothing else changes a state.
const NEXT: Readonly<Record<State, readonly State[]>> = {
  NONE: ["CHARGING", "VOID"],
  CHARGING: ["CHARGED", "DECLINED", "VOID"],
  CHARGED: [],
  DECLINED: [],
  VOID: [],
};

/** The payment one step on. A step that is not in the table is a bug. */
export function move(payment: Payment, state: State, declineReason = ""): Payment {
  if (!NEXT[payment.state].includes(state)) {
    throw new Error(`The payment of order ${payment.orderId}: ${payment.state} -> ${state}.`);
  }
  return { ...payment, state, declineReason };
}

/** The row of an order whose charge begins. */
export const charging = (terms: Terms): Payment =>
  move({ ...terms, state: "NONE", declineReason: "" }, "CHARGING");

/** The row of an order that is voided before it was charged: a tombstone. */
export const tombstone = (orderId: number): Payment =>
  move({ orderId, ...NO_TERMS, state: "NONE", declineReason: "" }, "VOID");

const NO_TERMS = { amountMinor: 0, currencyCode: "", paymentMethod: "" };

/** The idempotency key that an order has at the provider. */
export const keyOf = ({ orderId }: { orderId: number }): string => `order-${orderId}`;

export const sameTerms = (one: Terms, other: Terms): boolean =>
  one.amountMinor === other.amountMinor &&
  one.currencyCode === other.currencyCode &&
  one.paymentMethod === other.paymentMethod;

const PAYMENT_METHOD = /^[A-Za-z0-9_-]{0,64}$/;

/** Throws INVALID_ARGUMENT / ID_INVALID, AMOUNT_INVALID, PAYMENT_METHOD_INVALID. */
export function checkedTerms(item: Omit<BatchChargeRequest_Item, "context">): Terms {
  const { paymentMethod } = item;
  const orderId = checkedId(item.orderId, "order_id");
  const amount = checkedAmount(item.amount, 0);
  if (!PAYMENT_METHOD.test(paymentMethod)) {
    throw invalidArgument(
      "PAYMENT_METHOD_INVALID",
      "payment_method must have at most 64 characters, of A-Z, a-z, 0-9, _ and -.",
      { field: "payment_method" },
    );
  }
  const { amountMinor, currencyCode } = amount;
  return { orderId, amountMinor, currencyCode, paymentMethod };
}

/** Throws INVALID_ARGUMENT / AMOUNT_INVALID. */
export function checkedAmount(amount: Money | undefined, minorMin: number): Money {
  if (!amount || !Number.isSafeInteger(amount.amountMinor) || amount.amountMinor < minorMin) {
    throw invalidArgument(
      "AMOUNT_INVALID",
      `amount must be from ${minorMin} to 2^53 - 1 minor units.`,
      { field: "amount" },
    );
  }
  if (!isCurrency(amount.currencyCode)) {
    throw invalidArgument("AMOUNT_INVALID", "amount must have an ISO 4217 currency.", {
      field: "amount.currency_code",
    });
  }
  return amount;
}
