/** Every SQL statement of payments and of our book (those of the sandbox provider are its own). */
import { coalesce } from "@piata/kit/coalesce";
import type { Metrics } from "@piata/kit/metrics";
import { type Database, statement } from "@piata/kit/pg";
import type { Payment } from "./payment.js";
import type { BookEntry } from "./reconciliation.js";

// A whole batched call is one statement.
const ROWS_MAX = 1_000;

export interface Placed {
  /** The order's row as it stands. */
  payment: Payment;
  /** True when it was not there before. */
  isNew: boolean;
}

interface PaymentRow extends Payment {
  /** Said by PLACE only. */
  isNew?: boolean;
}

type BookRow = Payment & Omit<BookEntry, "payment">;

/** Payments, in PostgreSQL. */
export class PaymentStore {
  readonly #db: Database;

  /** Makes this the order's row, unless it has one already: the first one stays. */
  readonly place: (payment: Payment) => Promise<Placed>;

  /** Records how a charge ended, if it still is CHARGING. Answers with the row as it stands. */
  readonly settle: (payment: Payment) => Promise<Payment>;

  constructor(db: Database, metrics: Metrics) {
    this.#db = db;
    this.place = coalesce({
      ...metrics.batches("payment.place"),
      maxItems: ROWS_MAX,
      send: (payments: Payment[]) => this.#place(payments),
    });
    this.settle = coalesce({
      ...metrics.batches("payment.settle"),
      maxItems: ROWS_MAX,
      send: (payments: Payment[]) => this.#settle(payments),
    });
  }

  /** What our book has for each of the orders that it has. */
  async readBook(orderIds: number[]): Promise<BookEntry[]> {
    const rows = await this.#db.rows<BookRow>(READ_OUR_BOOK, [orderIds]);
    return rows.map(({ refunds, changedAt, ...payment }) => ({ payment, refunds, changedAt }));
  }

  /** The ids of charged orders, in their order, from the one after `after` on. */
  async listCharged({ after, limit }: { after: number; limit: number }): Promise<number[]> {
    const rows = await this.#db.rows<{ orderId: number }>(LIST_CHARGED, [after, limit]);
    return rows.map(({ orderId }) => orderId);
  }

  /** Does `work` unless some instance is at it already. A lock that is lost stops nothing. */
  async alone(work: () => Promise<void>): Promise<"done" | "taken"> {
    return this.#db.transaction(async (tx) => {
      const [lock] = await tx.rows<{ isOurs: boolean }>(TRY_RECONCILE_LOCK);
      if (!lock?.isOurs) return "taken";
      await work();
      return "done";
    });
  }

  async #place(payments: Payment[]): Promise<Placed[]> {
    const rows = await this.#db.rows<PaymentRow>(PLACE, [
      payments.map(({ orderId }) => orderId),
      payments.map(({ state }) => state),
      payments.map(({ amountMinor }) => amountMinor),
      payments.map(({ currencyCode }) => currencyCode),
      payments.map(({ paymentMethod }) => paymentMethod),
    ]);
    const standing = await this.#standing(payments, rows);
    return standing.map(({ isNew = false, ...payment }) => ({ payment, isNew }));
  }

  async #settle(payments: Payment[]): Promise<Payment[]> {
    const settled = await this.#db.rows<Payment>(SETTLE, [
      payments.map(({ orderId }) => orderId),
      payments.map(({ state }) => state),
      payments.map(({ declineReason }) => declineReason),
    ]);
    return this.#standing(payments, settled);
  }

  /** The row of each order. What was committed beside a statement it did not see: read now. */
  async #standing(wanted: Payment[], seen: PaymentRow[]): Promise<PaymentRow[]> {
    const rows = new Map(seen.map((payment) => [payment.orderId, payment]));
    const unseen = wanted.map(({ orderId }) => orderId).filter((orderId) => !rows.has(orderId));
    if (unseen.length > 0) {
      for (const payment of await this.#db.rows<PaymentRow>(FIND, [unseen])) {
        rows.set(payment.orderId, payment);
      }
    }
    return wanted.map(({ orderId }) => rows.get(orderId) as PaymentRow);
  }
}

const PAYMENT = `
  order_id as "orderId", state, amount_minor as "amountMinor", currency_code as "currencyCode",
  payment_method as "paymentMethod", decline_reason as "declineReason"`;

// In id order, so that two instances with the same orders never wait for each other's rows.
const PLACE = statement(
  "place",
  `with placed as (
     insert into payments (order_id, state, amount_minor, currency_code, payment_method)
     select order_id, state, amount_minor, currency_code, payment_method
       from unnest($1::integer[], $2::text[], $3::bigint[], $4::text[], $5::text[])
         as wanted (order_id, state, amount_minor, currency_code, payment_method)
      order by order_id
     on conflict (order_id) do nothing
     returning order_id, state, amount_minor, currency_code, payment_method, decline_reason
   )
   select ${PAYMENT}, true as "isNew" from placed
    union all
   select ${PAYMENT}, false as "isNew" from payments where order_id = any($1)`,
);

const FIND = statement("find", `select ${PAYMENT} from payments where order_id = any($1)`);

const SETTLE = statement(
  "settle",
  `with locked as (
     select order_id as id
       from payments
      where order_id = any($1) and state = 'CHARGING'
      order by order_id
        for update
   )
   update payments
      set state = verdict.to_state, decline_reason = verdict.reason, updated_at = now()
     from locked
     join unnest($1::integer[], $2::text[], $3::text[]) as verdict (id, to_state, reason) using (id)
    where order_id = id and state = 'CHARGING'
   returning ${PAYMENT}`,
);

const READ_OUR_BOOK = statement(
  "read_our_book",
  `select order_id as "orderId", state, amount_minor as "amountMinor",
         currency_code as "currencyCode", payment_method as "paymentMethod",
         decline_reason as "declineReason", refunds,
         greatest(updated_at, refunds_changed_at) as "changedAt"
    from payments
   cross join lateral (
           select coalesce(json_agg(json_build_object(
                    'orderId', r.order_id, 'refundKey', refund_key, 'amountMinor', r.amount_minor,
                    'currencyCode', currency_code, 'state', r.state,
                    'refusalReason', refusal_reason, 'tries', tries
                  ) order by refund_key), '[]') as refunds,
                  max(r.updated_at) as refunds_changed_at
             from refunds r
            where r.order_id = payments.order_id
         ) as its_refunds
   where order_id = any($1)`,
);

const LIST_CHARGED = statement(
  "list_charged",
  `select order_id as "orderId"
     from payments
    where order_id > $1 and state = 'CHARGED'
    order by order_id
    limit $2`,
);

// Held until its transaction ends, or the connection. The number is any; only this has it.
const TRY_RECONCILE_LOCK = statement(
  "try_reconcile_lock",
  `select pg_try_advisory_xact_lock(7426802) as "isOurs"`,
);
