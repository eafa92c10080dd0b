/** Every SQL statement of refunds. */
import { coalesce } from "@piata/kit/coalesce";
import type { Failure } from "@piata/kit/errors";
import type { Metrics } from "@piata/kit/metrics";
import { type Database, type Queries, statement } from "@piata/kit/pg";
import {
  decideRefunds,
  type Recorded,
  type Refund,
  type Refundable,
  type RefundTerms,
  refundId,
} from "./refund.js";

// A whole batched call is one transaction.
const ROWS_MAX = 1_000;

export interface RefundStoreOptions {
  metrics: Metrics;
  /** How long an attempt may take before another worker takes the refund up. */
  leaseMs: number;
}

export class RefundStore {
  readonly #db: Database;
  readonly #leaseMs: number;

  /**
   * Records a refund and reserves its amount; under a key that has one, the first one stays.
   * Throws FAILED_PRECONDITION / NOT_CHARGED, REFUND_EXCEEDS_CHARGE, REFUND_MISMATCH and
   * INVALID_ARGUMENT / AMOUNT_INVALID (another currency).
   */
  readonly record: (terms: RefundTerms) => Promise<Recorded>;

  /**
   * Records how a refund ended, if it still is REFUNDING; a refused one gives its amount back.
   * Answers with the row as it stands.
   */
  readonly settle: (refund: Refund) => Promise<Refund>;

  constructor(db: Database, { metrics, leaseMs }: RefundStoreOptions) {
    this.#db = db;
    this.#leaseMs = leaseMs;
    this.record = coalesce({
      ...metrics.batches("payment.record_refund"),
      maxItems: ROWS_MAX,
      send: (wanted: RefundTerms[]) => this.#db.transaction((tx) => this.#record(tx, wanted)),
    });
    this.settle = coalesce({
      ...metrics.batches("payment.settle_refund"),
      maxItems: ROWS_MAX,
      send: (refunds: Refund[]) => this.#settle(refunds),
    });
  }

  /** Takes refunds that are due, so that nobody else does while the lease lasts. */
  claim(limit: number): Promise<Refund[]> {
    return this.#db.rows<Refund>(CLAIM_REFUNDS, [limit, this.#leaseMs]);
  }

  /** Makes a refund due in `delayMs`, unless it has ended. */
  async putOff({ orderId, refundKey }: Refund, delayMs: number): Promise<void> {
    await this.#db.rows(PUT_OFF_REFUND, [orderId, refundKey, delayMs]);
  }

  // The payments are locked in id order and decided on in code: a sum within one statement would
  // refuse a refund that fits behind one that does not.
  async #record(tx: Queries, wanted: RefundTerms[]): Promise<(Recorded | Failure)[]> {
    const orderIds = wanted.map(({ orderId }) => orderId);
    const refundKeys = wanted.map(({ refundKey }) => refundKey);
    const payments = await tx.rows<Refundable>(LOCK_PAYMENTS, [orderIds]);
    const known = await tx.rows<Refund>(FIND_REFUNDS, [orderIds, refundKeys]);
    const decisions = decideRefunds(wanted, payments, known);
    const begun = decisions.flatMap((made) => ("isNew" in made && made.isNew ? [made.refund] : []));
    if (begun.length > 0) {
      await tx.rows(WRITE_REFUNDS, [
        begun.map(({ orderId }) => orderId),
        begun.map(({ refundKey }) => refundKey),
        begun.map(({ amountMinor }) => amountMinor),
        this.#leaseMs,
      ]);
    }
    return decisions;
  }

  async #settle(refunds: Refund[]): Promise<Refund[]> {
    const settled = await this.#db.rows<Refund>(SETTLE_REFUNDS, [
      refunds.map(({ orderId }) => orderId),
      refunds.map(({ refundKey }) => refundKey),
      refunds.map(({ state }) => state),
      refunds.map(({ refusalReason }) => refusalReason),
    ]);
    const rows = new Map(settled.map((refund) => [refundId(refund), refund]));
    const unmoved = refunds.filter((refund) => !rows.has(refundId(refund)));
    if (unmoved.length > 0) {
      const standing = await this.#db.rows<Refund>(FIND_REFUNDS, [
        unmoved.map(({ orderId }) => orderId),
        unmoved.map(({ refundKey }) => refundKey),
      ]);
      for (const refund of standing) rows.set(refundId(refund), refund);
    }
    return refunds.map((refund) => rows.get(refundId(refund)) as Refund);
  }
}

// Of a refund r and its payment p.
const REFUND = `
  r.order_id as "orderId", r.refund_key as "refundKey", r.amount_minor as "amountMinor",
  p.currency_code as "currencyCode", r.state, r.refusal_reason as "refusalReason", r.tries`;

const LOCK_PAYMENTS = statement(
  "lock_payments",
  `select order_id as "orderId", state, amount_minor as "amountMinor",
          currency_code as "currencyCode", refunded_minor as "refundedMinor"
     from payments
    where order_id = any($1)
    order by order_id
      for update`,
);

const FIND_REFUNDS = statement(
  "find_refunds",
  `select ${REFUND}
     from refunds r
     join payments p using (order_id)
     join (select distinct order_id, refund_key
             from unnest($1::integer[], $2::text[]) as wanted (order_id, refund_key)) as wanted
       using (order_id, refund_key)`,
);

// Only what LOCK_PAYMENTS has locked, in the same transaction.
const WRITE_REFUNDS = statement(
  "write_refunds",
  `with written as (
     insert into refunds (order_id, refund_key, amount_minor, state, next_try_at)
     select order_id, refund_key, amount_minor, 'REFUNDING',
            now() + $4::integer * interval '1 millisecond'
       from unnest($1::integer[], $2::text[], $3::bigint[])
         as wanted (order_id, refund_key, amount_minor)
     returning order_id, amount_minor
   ), reserved as (
     select order_id as id, sum(amount_minor) as reserved_minor from written group by order_id
   )
   update payments
      set refunded_minor = refunded_minor + reserved_minor, updated_at = now()
     from reserved
    where order_id = id`,
);

// Refunds are locked in the order of their keys and then payments in id order, so that two batches
// never wait for each other.
const SETTLE_REFUNDS = statement(
  "settle_refunds",
  `with verdict as (
     select order_id, refund_key, to_state, reason
       from unnest($1::integer[], $2::text[], $3::text[], $4::text[])
         as verdict (order_id, refund_key, to_state, reason)
   ), locked as (
     select order_id, refund_key
       from refunds
      where (order_id, refund_key) in (select order_id, refund_key from verdict)
        and state = 'REFUNDING'
      order by order_id, refund_key
        for update
   ), moved as (
     update refunds
        set state = to_state, refusal_reason = reason, next_try_at = null, updated_at = now()
       from verdict join locked using (order_id, refund_key)
      where refunds.order_id = verdict.order_id and refunds.refund_key = verdict.refund_key
        and refunds.state = 'REFUNDING'
     returning refunds.order_id, refunds.refund_key, amount_minor, state, refusal_reason, tries
   ), refused as (
     select order_id, sum(amount_minor) as refused_minor
       from moved
      where state = 'REFUSED'
      group by order_id
   ), charges as (
     select order_id
       from payments
      where order_id in (select order_id from refused)
      order by order_id
        for update
   ), given_back as (
     update payments
        set refunded_minor = refunded_minor - refused_minor, updated_at = now()
       from refused join charges using (order_id)
      where payments.order_id = refused.order_id
   )
   select ${REFUND} from moved r join payments p using (order_id)`,
);

const CLAIM_REFUNDS = statement(
  "claim_refunds",
  `with due as materialized (
     select order_id, refund_key
       from refunds
      where next_try_at <= now()
      order by next_try_at
      limit $1
        for update skip locked
   ), claimed as (
     update refunds
        set next_try_at = now() + $2::integer * interval '1 millisecond'
       from due
      where refunds.order_id = due.order_id and refunds.refund_key = due.refund_key
     returning refunds.order_id, refunds.refund_key, amount_minor, state, refusal_reason, tries
   )
   select ${REFUND} from claimed r join payments p using (order_id)`,
);

const PUT_OFF_REFUND = statement(
  "put_off_refund",
  `update refunds
      set next_try_at = now() + $3::integer * interval '1 millisecond', tries = tries + 1
    where order_id = $1 and refund_key = $2 and state = 'REFUNDING'`,
);
