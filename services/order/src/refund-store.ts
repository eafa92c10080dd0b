/** The SQL of refunds. */
import { failedPrecondition, notFound } from "@piata/kit/errors";
import { type Database, statement } from "@piata/kit/pg";
import type { RefundJob, RefundRows, RefundWish } from "./refund.js";

interface Refundable {
  state: string;
  totalMinor: number;
  refundedMinor: number;
  currencyCode: string;
}

/** Refunds as they are promised to customers, in PostgreSQL. */
export class RefundStore implements RefundRows {
  readonly #db: Database;
  readonly #leaseMs: number;

  constructor(db: Database, leaseMs: number) {
    this.#db = db;
    this.#leaseMs = leaseMs;
  }

  /**
   * Promises a refund, and answers with the work that it makes; undefined when the key was promised
   * before. Throws NOT_FOUND / ORDER_NOT_FOUND; FAILED_PRECONDITION / ORDER_NOT_PAID,
   * REFUND_EXCEEDS_TOTAL, REFUND_MISMATCH.
   */
  async request({ orderId, refundKey, amountMinor, traceId }: RefundWish) {
    return this.#db.transaction(async (tx): Promise<RefundJob | undefined> => {
      const [order] = await tx.rows<Refundable>(LOCK_ORDER, [orderId]);
      if (!order) throw orderNotFound(orderId);
      const [promised] = await tx.rows<{ amountMinor: number }>(FIND_REFUND, [orderId, refundKey]);
      if (promised) {
        if (amountMinor === 0 || amountMinor === promised.amountMinor) return undefined;
        throw failedPrecondition(
          "REFUND_MISMATCH",
          `This refundKey came with the amount ${promised.amountMinor} before; use a new one.`,
          { field: "refundKey", amountMinor: String(promised.amountMinor) },
        );
      }
      if (order.state !== "PAID") {
        throw failedPrecondition("ORDER_NOT_PAID", `Order ${orderId} is not paid.`, {
          orderId: String(orderId),
        });
      }
      const leftMinor = order.totalMinor - order.refundedMinor;
      const amount = amountMinor === 0 ? leftMinor : amountMinor;
      if (amount === 0 || amount > leftMinor) {
        throw failedPrecondition(
          "REFUND_EXCEEDS_TOTAL",
          `Only ${leftMinor} of order ${orderId} are left to give back.`,
          { field: "amountMinor", leftMinor: String(leftMinor) },
        );
      }
      await tx.rows(PROMISE, [orderId, refundKey, amount, traceId, this.#leaseMs]);
      const { currencyCode } = order;
      return { orderId, refundKey, amountMinor: amount, currencyCode, traceId, tries: 0 };
    });
  }

  /** Takes at most `limit` due refunds for the time of a lease. */
  async claim(limit: number): Promise<RefundJob[]> {
    return this.#db.rows<RefundJob>(CLAIM_REFUNDS, [limit, this.#leaseMs]);
  }

  async finish({ orderId, refundKey }: RefundJob): Promise<void> {
    await this.#db.rows(FINISH, [orderId, refundKey]);
  }

  async refuse({ orderId, refundKey }: RefundJob, reason: string): Promise<void> {
    await this.#db.rows(REFUSE, [orderId, refundKey, reason]);
  }

  async putOff({ orderId, refundKey }: RefundJob, delayMs: number): Promise<void> {
    await this.#db.rows(PUT_REFUND_OFF, [orderId, refundKey, delayMs]);
  }
}

export const orderNotFound = (orderId: number) =>
  notFound("ORDER_NOT_FOUND", `There is no order ${orderId}.`, { orderId: String(orderId) });

const LOCK_ORDER = statement(
  "lock_order",
  `select state, total_minor as "totalMinor", refunded_minor as "refundedMinor",
          currency_code as "currencyCode"
     from orders
    where id = $1 and state not in ('INTENT', 'ABANDONED')
      for update`,
);

const FIND_REFUND = statement(
  "find_refund",
  `select amount_minor as "amountMinor" from refunds where order_id = $1 and refund_key = $2`,
);

const PROMISE = statement(
  "promise",
  `with promised as (
     insert into refunds (order_id, refund_key, amount_minor, state, trace_id, next_try_at)
     values ($1, $2, $3, 'REQUESTED', $4, now() + $5::integer * interval '1 millisecond')
     returning order_id, amount_minor
   )
   update orders o
      set refunded_minor = o.refunded_minor + promised.amount_minor, updated_at = now()
     from promised
    where o.id = promised.order_id`,
);

const CLAIM_REFUNDS = statement(
  "claim_refunds",
  `with due as materialized (
     select order_id as due_order_id, refund_key as due_key
       from refunds
      where next_try_at <= now()
      order by next_try_at
      limit $1
        for update skip locked
   )
   update refunds r
      set next_try_at = now() + $2::integer * interval '1 millisecond'
     from due join orders o on o.id = due_order_id
    where r.order_id = due_order_id and r.refund_key = due_key
   returning r.order_id as "orderId", r.refund_key as "refundKey",
             r.amount_minor as "amountMinor", o.currency_code as "currencyCode",
             r.trace_id as "traceId", r.tries`,
);

const FINISH = statement(
  "finish",
  `update refunds
      set state = 'REFUNDED', next_try_at = null, updated_at = now()
    where order_id = $1 and refund_key = $2 and state = 'REQUESTED'`,
);

const REFUSE = statement(
  "refuse",
  `with refused as (
     update refunds
        set state = 'REFUSED', reason = $3, next_try_at = null, updated_at = now()
      where order_id = $1 and refund_key = $2 and state = 'REQUESTED'
     returning order_id, amount_minor
   )
   update orders o
      set refunded_minor = o.refunded_minor - refused.amount_minor, updated_at = now()
     from refused
    where o.id = refused.order_id`,
);

const PUT_REFUND_OFF = statement(
  "put_refund_off",
  `update refunds
      set next_try_at = now() + $3::integer * interval '1 millisecond', tries = tries + 1
    where order_id = $1 and refund_key = $2 and state = 'REQUESTED'`,
);
