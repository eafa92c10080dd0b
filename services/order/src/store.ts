/** Every SQL statement of the order service. */
import { coalesce } from "@piata/kit/coalesce";
import type { Code, Failure } from "@piata/kit/errors";
import type { Metrics } from "@piata/kit/metrics";
import { type Database, statement } from "@piata/kit/pg";
import type { Move, Order, State } from "./order.js";
import { argumentsOf, type Wish } from "./wish.js";

/** What a key was answered with first. */
export interface FirstAnswer {
  arguments: string;
  orderId: number | null;
  /** Of the order; null when there is none. */
  state: State | null;
  failure: KeptFailure | null;
}

interface KeptFailure {
  code: Code;
  reason: string;
  message: string;
  metadata: Record<string, string>;
}

/** What a move finds in the row that its mover did not know. */
interface Moved extends Pick<Order, "approvedAt" | "cancelRequested"> {
  id: number;
  from: State;
}

/** `orderId` is undefined when the key belongs to an earlier call. */
interface Placed {
  orderId: number | undefined;
}

/** Orders in a state that somebody still works on, or refunds that are promised. */
export interface Unfinished {
  /** "REFUND" for refunds. */
  state: State | "REFUND";
  count: number;
  oldestSeconds: number;
}

export interface StoreOptions {
  metrics: Metrics;
  /** How long an order belongs to the worker that wrote or claimed it. */
  leaseMs: number;
}

/** Orders and idempotency keys, in PostgreSQL. */
export class OrderStore {
  readonly #db: Database;
  readonly #leaseMs: number;
  /** Writes an intent, with its key if it has one, in one commit. */
  readonly placeIntent: (wish: Wish) => Promise<Placed>;
  /** Writes a move; undefined when the order is no longer in the state it was to move from. */
  readonly advance: (move: Move) => Promise<Order | undefined>;

  constructor(db: Database, { metrics, leaseMs }: StoreOptions) {
    this.#db = db;
    this.#leaseMs = leaseMs;
    this.placeIntent = coalesce({
      ...metrics.batches("order.place_intents"),
      send: (wishes: Wish[]) => this.#placeIntents(wishes),
    });
    this.advance = coalesce({
      ...metrics.batches("order.advance"),
      send: (moves: Move[]) => this.#advanceAll(moves),
    });
  }

  /** Takes at most `limit` due orders for the time of a lease. */
  async claim(limit: number): Promise<Order[]> {
    return this.#db.rows<Order>(CLAIM, [limit, this.#leaseMs]);
  }

  async putOff({ id, state }: Order, delayMs: number): Promise<void> {
    await this.#db.rows(PUT_OFF, [id, state, delayMs]);
  }

  async setAside({ id, state }: Order, reason: string): Promise<void> {
    await this.#db.rows(SET_ASIDE, [id, state, reason]);
  }

  /** Takes an order that was set aside up again. Undefined when there is no such order. */
  async retry(id: number): Promise<Order | undefined> {
    await this.#db.rows(RETRY, [id]);
    return (await this.findOrders([id])).get(id);
  }

  /** At most `limit` orders that were set aside, after an id. */
  async listSetAside(after: number, limit: number): Promise<Order[]> {
    return this.#db.rows<Order>(LIST_SET_ASIDE, [after, limit]);
  }

  async countSetAside(): Promise<number> {
    const [row] = await this.#db.rows<{ count: number }>(COUNT_SET_ASIDE);
    return row?.count ?? 0;
  }

  /** How many orders of each state still owe something, and how old the oldest is; refunds too. */
  async countUnfinished(): Promise<Unfinished[]> {
    return this.#db.rows<Unfinished>(COUNT_UNFINISHED);
  }

  /** Asks for an unpaid order of the user to be undone; undefined when it cannot be any more. */
  async requestCancel(id: number, userId: number): Promise<Order | undefined> {
    const [order] = await this.#db.rows<Order>(REQUEST_CANCEL, [id, userId]);
    return order;
  }

  /** The orders that exist and that somebody was told of, by id. */
  async findOrders(ids: number[]): Promise<Map<number, Order>> {
    const rows = await this.#db.rows<Order>(FIND_ORDERS, [ids]);
    return new Map(rows.map((row) => [row.id, row]));
  }

  /** At most `limit` orders of a user before an id (0: from the newest), newest first. */
  async listOrders(userId: number, before: number, limit: number): Promise<Order[]> {
    return this.#db.rows<Order>(LIST_ORDERS, [userId, before, limit]);
  }

  /** The user's newest order of the last 24 hours. */
  async findLastOrderId(userId: number): Promise<number | undefined> {
    const [row] = await this.#db.rows<{ id: number }>(FIND_LAST_ORDER, [userId]);
    return row?.id;
  }

  /**
   * Keeps a failure as the first answer to the wish's key; false when there is an answer already.
   */
  async keepFailure(wish: Wish, failure: Failure): Promise<boolean> {
    const { code, reason, message, metadata } = failure;
    const kept: KeptFailure = { code, reason, message, metadata };
    const { userId, idempotencyKey } = wish;
    const values = [userId, idempotencyKey, argumentsOf(wish), JSON.stringify(kept)];
    return (await this.#db.rows(KEEP_FAILURE, values)).length === 1;
  }

  /** What the wish's key was answered with; undefined when it is free. */
  async findFirstAnswer({ userId, idempotencyKey }: Wish): Promise<FirstAnswer | undefined> {
    const [answer] = await this.#db.rows<FirstAnswer>(FIND_FIRST_ANSWER, [userId, idempotencyKey]);
    return answer;
  }

  /** Drops keys that have outlived their 24 hours, some at a time. */
  async dropOldKeys(): Promise<void> {
    await this.#db.rows(DROP_OLD_KEYS);
  }

  async #placeIntents(wishes: Wish[]): Promise<Placed[]> {
    // One statement can write a key once; its repeats in the batch are answered like later ones.
    const keys = new Set<string>();
    const first = wishes.map(({ userId, idempotencyKey }) => {
      const key = `${userId} ${idempotencyKey}`;
      if (idempotencyKey === "") return true;
      if (keys.has(key)) return false;
      keys.add(key);
      return true;
    });
    const sent = wishes.filter((_, index) => first[index]);
    const rows = await this.#db.rows<{ orderId: number | null }>(PLACE_INTENTS, [
      sent.map(({ userId }) => userId),
      sent.map(({ paymentMethod }) => paymentMethod),
      sent.map(({ expectedTotalMinor }) => expectedTotalMinor ?? null),
      sent.map(({ traceId }) => traceId),
      sent.map(({ idempotencyKey }) => idempotencyKey || null),
      sent.map(argumentsOf),
      this.#leaseMs,
    ]);
    const placed = rows.values();
    return first.map((isFirst) => ({
      orderId: isFirst ? (placed.next().value?.orderId ?? undefined) : undefined,
    }));
  }

  async #advanceAll(all: Move[]): Promise<(Order | undefined)[]> {
    // Two that move the same order from the same state are rivals, in a batch as anywhere: one
    // wins.
    const first = new Map(all.map((move, place) => [keyOf(move), place] as const).reverse());
    const moves = [...first.values()]
      .map((place) => all[place] as Move)
      .sort((one, other) => one.order.id - other.order.id);
    const rows = await this.#db.rows<Moved>(ADVANCE, [
      moves.map(({ order }) => order.id),
      moves.map(({ from }) => from),
      moves.map(({ order }) => order.state),
      moves.map(({ order }) => order.reason),
      moves.map(({ change }) => (change.lines ? JSON.stringify(change.lines) : null)),
      moves.map(({ order }) => order.totalMinor),
      moves.map(({ order }) => order.currencyCode),
      moves.map(({ order }) => order.open),
      this.#leaseMs,
      this.#leaseMs * FRESH,
    ]);
    const moved = new Map(rows.map(({ id, from, ...rest }) => [`${id} ${from}`, rest]));
    return all.map((move, place) => {
      const rest = first.get(keyOf(move)) === place ? moved.get(keyOf(move)) : undefined;
      return rest && { ...move.order, ...rest };
    });
  }
}

/** How much of a lease has to be left at a move for it not to be renewed. */
const FRESH = 0.75;

const keyOf = ({ order, from }: Move): string => `${order.id} ${from}`;

const ORDER = `
  id, user_id as "userId", state, reason, payment_method as "paymentMethod",
  expected_total_minor as "expectedTotalMinor", lines, total_minor as "totalMinor",
  currency_code as "currencyCode", trace_id as "traceId", approved_at as "approvedAt", tries,
  cancel_requested_at is not null as "cancelRequested", refunded_minor as "refundedMinor",
  set_aside_reason as "setAsideReason", next_try_at is not null as open,
  created_at as "createdAt"`;

// Ids are drawn first, so that a key and its order are written by the same statement. A key that is
// 24 hours old is free again. Keys are written in their order, so that two batches never wait for
// each other.
const PLACE_INTENTS = statement(
  "place_intents",
  `with wishes as materialized (
     select nextval('orders_id_seq')::integer as id, wish.*
       from unnest($1::integer[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[])
            with ordinality
         as wish (user_id, payment_method, expected_total_minor, trace_id, key, arguments, place)
   ), keyed as (
     insert into idempotency_keys as k (user_id, key, arguments, order_id)
     select user_id, key, arguments, id from wishes where key is not null order by user_id, key
     on conflict (user_id, key) do update
       set arguments = excluded.arguments, order_id = excluded.order_id, failure = null,
           created_at = now()
       where k.created_at < now() - interval '24 hours'
     returning order_id
   ), placed as (
     insert into orders
       (id, user_id, state, payment_method, expected_total_minor, trace_id, next_try_at)
     overriding system value
     select id, user_id, 'INTENT', payment_method, expected_total_minor, trace_id,
            now() + $7::integer * interval '1 millisecond'
       from wishes
      where key is null or id in (select order_id from keyed)
     returning id
   )
   select placed.id as "orderId"
     from wishes left join placed on placed.id = wishes.id
    order by wishes.place`,
);

// The only statement that changes a state, and only from the state that the mover saw. An abandoned
// intent gives its key back at its end: its caller never had an answer. Moves come in the order of
// their ids: they are looked up in it, so that two batches do not wait for each other. (Locking
// them first by a subquery would make sure of it for a quarter of the throughput.) A lease that is
// fresh stays as it is: nothing that is indexed changes then, so that the new version of the row
// needs no new entry in any index.
const ADVANCE = statement(
  "advance",
  `with moves as (
     select * from unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::text[],
                          $6::bigint[], $7::text[], $8::boolean[])
       as move (id, from_state, to_state, reason, lines, total_minor, currency_code, open)
   ), moved as (
     update orders o
        set state = moves.to_state, reason = moves.reason,
            lines = coalesce(moves.lines::jsonb, o.lines),
            total_minor = moves.total_minor, currency_code = moves.currency_code, tries = 0,
            approved_at = case when moves.to_state = 'APPROVED' then now() else o.approved_at end,
            next_try_at = case
              when not moves.open then null
              when o.next_try_at > now() + $10::integer * interval '1 millisecond' then o.next_try_at
              else now() + $9::integer * interval '1 millisecond'
            end,
            updated_at = now()
       from moves
      where o.id = moves.id and o.state = moves.from_state
     returning o.id, moves.from_state, o.state, o.next_try_at, o.approved_at, o.cancel_requested_at
   ), freed as (
     delete from idempotency_keys
      where (user_id, key) in (
              select user_id, key from idempotency_keys
               where order_id in (select id from moved
                                   where state = 'ABANDONED' and next_try_at is null)
               order by user_id, key
                 for update)
   )
   select id, from_state as "from", approved_at as "approvedAt",
          cancel_requested_at is not null as "cancelRequested"
     from moved`,
);

const CLAIM = statement(
  "claim",
  `with due as materialized (
     select id as due_id
       from orders
      where next_try_at <= now()
      order by next_try_at
      limit $1
        for update skip locked
   )
   update orders
      set next_try_at = now() + $2::integer * interval '1 millisecond'
     from due
    where id = due_id
   returning ${ORDER}`,
);

const PUT_OFF = statement(
  "put_off",
  `update orders
      set next_try_at = now() + $3::integer * interval '1 millisecond', tries = tries + 1
    where id = $1 and state = $2 and next_try_at is not null`,
);

const SET_ASIDE = statement(
  "set_aside",
  `update orders
      set set_aside_reason = $3, next_try_at = null, updated_at = now()
    where id = $1 and state = $2 and next_try_at is not null`,
);

const RETRY = statement(
  "retry",
  `update orders
      set set_aside_reason = '', tries = 0, next_try_at = now(), updated_at = now()
    where id = $1 and set_aside_reason <> ''`,
);

const LIST_SET_ASIDE = statement(
  "list_set_aside",
  `select ${ORDER} from orders where set_aside_reason <> '' and id > $1 order by id limit $2`,
);

const COUNT_SET_ASIDE = statement(
  "count_set_aside",
  `select count(*) as count from orders where set_aside_reason <> ''`,
);

const COUNT_UNFINISHED = statement(
  "count_unfinished",
  `select state, count(*) as count,
          extract(epoch from now() - min(created_at))::float8 as "oldestSeconds"
     from orders
    where next_try_at is not null
    group by state
    union all
   select 'REFUND', count(*), coalesce(extract(epoch from now() - min(created_at)), 0)::float8
     from refunds
    where next_try_at is not null`,
);

// Due at once, so that a worker sees it; one that is at work on the order now sees it with its next
// move.
const REQUEST_CANCEL = statement(
  "request_cancel",
  `update orders
      set cancel_requested_at = coalesce(cancel_requested_at, now()),
          next_try_at = case when next_try_at is not null then least(next_try_at, now()) end
    where id = $1 and user_id = $2 and state in ('CREATED', 'APPROVED')
   returning ${ORDER}`,
);

const FIND_ORDERS = statement(
  "find_orders",
  `select ${ORDER} from orders where id = any($1) and state not in ('INTENT', 'ABANDONED')`,
);

const LIST_ORDERS = statement(
  "list_orders",
  `select ${ORDER}
     from orders
    where user_id = $1 and ($2::integer = 0 or id < $2) and state not in ('INTENT', 'ABANDONED')
    order by id desc
    limit $3`,
);

const FIND_LAST_ORDER = statement(
  "find_last_order",
  `select id
     from orders
    where user_id = $1 and state not in ('INTENT', 'ABANDONED')
      and created_at > now() - interval '24 hours'
    order by id desc
    limit 1`,
);

const KEEP_FAILURE = statement(
  "keep_failure",
  `insert into idempotency_keys as k (user_id, key, arguments, failure)
   values ($1, $2, $3, $4::jsonb)
   on conflict (user_id, key) do update
     set arguments = excluded.arguments, order_id = null, failure = excluded.failure,
         created_at = now()
     where k.created_at < now() - interval '24 hours'
   returning user_id`,
);

const FIND_FIRST_ANSWER = statement(
  "find_first_answer",
  `select k.arguments, k.order_id as "orderId", o.state, k.failure
     from idempotency_keys k left join orders o on o.id = k.order_id
    where k.user_id = $1 and k.key = $2`,
);

const DROP_OLD_KEYS = statement(
  "drop_old_keys",
  `delete from idempotency_keys
    where (user_id, key) in (select user_id, key from idempotency_keys
                              where created_at < now() - interval '25 hours'
                              limit 5000
                                for update skip locked)`,
);
