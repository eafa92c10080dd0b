/** The noun: money that is given back of a charged order, and how much of it may be. */
import type { BatchRefundRequest_Item } from "@piata/contracts/payment";
import { type Failure, failedPrecondition, invalidArgument } from "@piata/kit/errors";
import { checkedId, checkedKey } from "@piata/kit/validate";
import { checkedAmount, type State } from "./payment.js";

/** What is to be given back; under this key it cannot be anything else afterwards. */
export interface RefundTerms {
  orderId: number;
  /** Unique among the refunds of the order. */
  refundKey: string;
  amountMinor: number;
  currencyCode: string;
}

export type FinalRefundState = "REFUNDED" | "REFUSED";
export type RefundState = "REFUNDING" | FinalRefundState;

/** The one row that is kept per order and refund key. */
export interface Refund extends RefundTerms {
  state: RefundState;
  /** Of a REFUSED refund; empty otherwise. */
  refusalReason: string;
  /** Attempts that did not bring a verdict. */
  tries: number;
}

/** What is true at the provider, for good. */
export interface RefundVerdict {
  state: FinalRefundState;
  refusalReason: string;
}

/** A payment as far as refunds are concerned. */
export interface Refundable {
  orderId: number;
  state: State;
  amountMinor: number;
  currencyCode: string;
  /** All refunds that are under way or done. */
  refundedMinor: number;
}

export interface Recorded {
  /** The refund's row as it stands. */
  refund: Refund;
  /** True when it was not there before. */
  isNew: boolean;
}

/** What tells a refund from all others. A refund key has no spaces. */
export const refundId = ({ orderId, refundKey }: { orderId: number; refundKey: string }): string =>
  `${orderId} ${refundKey}`;

/** The refund at its end. One that has ended already is a bug. */
export function conclude(refund: Refund, { state, refusalReason }: RefundVerdict): Refund {
  if (refund.state !== "REFUNDING") {
    throw new Error(`The refund ${refundId(refund)}: ${refund.state} -> ${state}.`);
  }
  return { ...refund, state, refusalReason };
}

/**
 * Decides refunds one after the other, as they came: each reserves its amount, so that what passes
 * is together never more than the charge. A key that is known, or came earlier, is not new.
 */
export function decideRefunds(
  wanted: RefundTerms[],
  payments: Refundable[],
  known: Refund[],
): (Recorded | Failure)[] {
  const chargeOf = new Map(payments.map((payment) => [payment.orderId, payment]));
  const leftOf = new Map(
    payments.map(({ orderId, amountMinor, refundedMinor }) => [
      orderId,
      amountMinor - refundedMinor,
    ]),
  );
  const standing = new Map(known.map((refund) => [refundId(refund), refund]));
  return wanted.map((terms) => {
    const { orderId, amountMinor } = terms;
    const before = standing.get(refundId(terms));
    if (before)
      return sameAmount(before, terms) ? { refund: before, isNew: false } : mismatch(terms);
    const charge = chargeOf.get(orderId);
    if (charge?.state !== "CHARGED") return notCharged(terms);
    if (charge.currencyCode !== terms.currencyCode) return otherCurrency(charge);
    const leftMinor = leftOf.get(orderId) ?? 0;
    if (amountMinor > leftMinor) return exceeds(terms, leftMinor);
    leftOf.set(orderId, leftMinor - amountMinor);
    const refund: Refund = { ...terms, state: "REFUNDING", refusalReason: "", tries: 0 };
    standing.set(refundId(terms), refund);
    return { refund, isNew: true };
  });
}

const sameAmount = (one: RefundTerms, other: RefundTerms): boolean =>
  one.amountMinor === other.amountMinor && one.currencyCode === other.currencyCode;

const mismatch = ({ orderId, refundKey }: RefundTerms) =>
  failedPrecondition(
    "REFUND_MISMATCH",
    `The refund ${refundKey} of order ${orderId} was asked for with another amount.`,
    { orderId: String(orderId), refundKey },
  );

const notCharged = ({ orderId }: RefundTerms) =>
  failedPrecondition("NOT_CHARGED", `Order ${orderId} is not charged: nothing can be refunded.`, {
    orderId: String(orderId),
  });

const otherCurrency = ({ orderId, currencyCode }: Refundable) =>
  invalidArgument("AMOUNT_INVALID", `Order ${orderId} was charged in ${currencyCode}.`, {
    field: "amount.currency_code",
    orderId: String(orderId),
    currencyCode,
  });

const exceeds = ({ orderId }: RefundTerms, leftMinor: number) =>
  failedPrecondition(
    "REFUND_EXCEEDS_CHARGE",
    `Of the charge of order ${orderId} only ${leftMinor} minor units are left to refund.`,
    { orderId: String(orderId), leftMinor: String(leftMinor) },
  );

/** Throws INVALID_ARGUMENT / ID_INVALID, AMOUNT_INVALID, REFUND_KEY_INVALID. */
export function checkedRefund(item: Omit<BatchRefundRequest_Item, "context">): RefundTerms {
  const { refundKey } = item;
  const orderId = checkedId(item.orderId, "order_id");
  const { amountMinor, currencyCode } = checkedAmount(item.amount, 1);
  checkedKey(refundKey, { field: "refund_key", reason: "REFUND_KEY_INVALID" });
  return { orderId, refundKey, amountMinor, currencyCode };
}
