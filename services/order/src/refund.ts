/**
 * Giving money back: promised by a row here, kept by the payment service, as often asked as it
 * takes.
 */
import { type Refund, RefundState } from "@piata/contracts/payment";
import { Failure, invalidArgument } from "@piata/kit/errors";
import type { Log } from "@piata/kit/log";
import { checkedKey } from "@piata/kit/validate";
import { retryMs } from "./checkout.js";

/** What staff asks for. */
export interface RefundWish {
  orderId: number;
  /** In minor units of the order's currency; 0 for all that is left. */
  amountMinor: number;
  /** The same key is the same refund of an order. */
  refundKey: string;
  traceId: string;
}

/** A refund that is not known to have happened yet. */
export interface RefundJob {
  orderId: number;
  refundKey: string;
  amountMinor: number;
  currencyCode: string;
  traceId: string;
  /** How often it was put off. */
  tries: number;
}

/** Throws INVALID_ARGUMENT / AMOUNT_INVALID, REFUND_KEY_INVALID. */
export function checkedRefund(wish: RefundWish): RefundWish {
  if (!Number.isSafeInteger(wish.amountMinor) || wish.amountMinor < 0) {
    throw invalidArgument("AMOUNT_INVALID", "amountMinor must be a whole number, 0 or more.", {
      field: "amountMinor",
    });
  }
  checkedKey(wish.refundKey, { field: "refundKey", reason: "REFUND_KEY_INVALID" });
  return wish;
}

/** Who gives the money back; keyed by the order id and the refund's key, harmless when repeated. */
export interface Refunder {
  refund(job: RefundJob): Promise<Refund>;
}

/** The part of the store that the work on a refund needs. */
export interface RefundRows {
  finish(job: RefundJob): Promise<void>;
  /** The provider will not give it back: its amount is the order's again. */
  refuse(job: RefundJob, reason: string): Promise<void>;
  /** Any worker takes it up again after `delayMs`. */
  putOff(job: RefundJob, delayMs: number): Promise<void>;
}

export interface RefundsOptions {
  store: RefundRows;
  participants: Refunder;
  log: Log;
}

/**
 * The work on one refund, until the payment service says that it happened, or that it never will.
 */
export class Refunds {
  readonly #options: RefundsOptions;

  constructor(options: RefundsOptions) {
    this.#options = options;
  }

  async run(job: RefundJob): Promise<void> {
    const { store, participants, log } = this.#options;
    const { orderId, traceId } = job;
    try {
      const { state, refusalReason } = await participants.refund(job);
      if (state === RefundState.REFUNDED) return await store.finish(job);
      if (state === RefundState.REFUSED) return await store.refuse(job, refusalReason);
    } catch (error) {
      const { code, reason } = error instanceof Failure ? error : { code: "INTERNAL", reason: "" };
      log.warn({ orderId, traceId, code, reason, err: error }, "refund put off");
    }
    await store.putOff(job, retryMs(job, Math.random));
  }
}
