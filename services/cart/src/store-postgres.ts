/** Carts in PostgreSQL, and every SQL statement about them. */
import type { Secret } from "@piata/kit/config";
import type { Failure } from "@piata/kit/errors";
import type { Metrics } from "@piata/kit/metrics";
import { Database, statement, type Transaction } from "@piata/kit/pg";
import * as rules from "./cart.js";
import { type Cart, type Checkout, type Done, NO_CART, type Outcome } from "./cart.js";
import type { CartStore, OfOrder, OfUser, UserChange } from "./store.js";

interface CartRow extends Omit<Cart, "exists" | "lines"> {
  userId: number;
  lines: Cart["lines"] | null;
}

/** A batch is one short transaction: the users' rows are locked, decided, written at once. */
export class PostgresCartStore implements CartStore {
  readonly #db: Database;

  /** The schema must be there already. */
  constructor(url: Secret, metrics?: Metrics) {
    this.#db = new Database(url, { program: "cart", metrics });
  }

  async find(userIds: number[]): Promise<Map<number, Cart>> {
    return byUser(await this.#db.rows<CartRow>(FIND_CARTS, [userIds]));
  }

  change(changes: UserChange[]): Promise<(Done | Failure)[]> {
    const creating = changes.filter(({ change }) => change.kind === "add");
    return this.#settle(changes, creating, (cart, { change }) => rules.applyChange(cart, change));
  }

  take(orders: OfOrder[]): Promise<(Checkout | Failure)[]> {
    return this.#settle(orders, [], (cart, { orderId }) => rules.take(cart, orderId));
  }

  restore(orders: OfOrder[]): Promise<(Done | Failure)[]> {
    return this.#settle(orders, orders, (cart, { orderId }) => rules.restore(cart, orderId));
  }

  forget(orders: OfOrder[]): Promise<(Done | Failure)[]> {
    return this.#settle(orders, orders, (cart, { orderId }) => rules.forget(cart, orderId));
  }

  erase(users: OfUser[]): Promise<(Done | Failure)[]> {
    return this.#settle(users, users, (cart) => rules.erase(cart));
  }

  async close(): Promise<void> {
    await this.#db.close();
  }

  /** `creating` are those of the items that leave something at a user who has nothing yet. */
  async #settle<Item extends OfUser, Answer>(
    items: Item[],
    creating: Item[],
    decide: (cart: Cart, item: Item) => Outcome<Answer>,
  ): Promise<(Answer | Failure)[]> {
    const attempt = (created: number[]) =>
      this.#db.transaction(async (tx) => {
        // Rows are made before any is locked, and both in the order of users: so no two batches
        // wait for each other. The two statements travel together.
        const [, rows] = await Promise.all([
          created.length > 0 ? tx.rows(CREATE_CARTS, [created]) : [],
          tx.rows<CartRow>(LOCK_CARTS, [usersOf(items)]),
        ]);
        const before = byUser(rows);
        if (creating.some(({ userId }) => !before.has(userId))) return undefined;
        const after = new Map(before);
        const answers = items.map((item) => {
          const { cart, answer } = decide(after.get(item.userId) ?? NO_CART, item);
          after.set(item.userId, cart);
          return answer;
        });
        await write(tx, before, after);
        return answers;
      });
    // A user gets a row once, and many changes after that.
    const answers = (await attempt([])) ?? (await attempt(usersOf(creating)));
    if (!answers) throw new Error("the row of a cart has vanished");
    return answers;
  }
}

/** Writes what has changed, as the end of the transaction. */
async function write(
  tx: Transaction,
  before: ReadonlyMap<number, Cart>,
  after: ReadonlyMap<number, Cart>,
): Promise<void> {
  const changed = [...before].flatMap(([userId, cart]) => {
    const then = after.get(userId) as Cart;
    return then === cart ? [] : [{ userId, cart, then }];
  });
  if (changed.length === 0) return;
  // What a change leaves as it was is neither sent nor parsed again.
  const written = (part: "lines" | "checkouts" | "ended") =>
    changed.map(({ cart, then }) =>
      then[part] === cart[part] || (part === "lines" && !then.exists)
        ? null
        : JSON.stringify(then[part]),
    );
  await tx.lastRows(WRITE_CARTS, [
    changed.map(({ userId }) => userId),
    written("lines"),
    written("checkouts"),
    written("ended"),
    changed.map(({ then }) => then.floor),
    changed.map(({ then }) => then.erased),
  ]);
}

const usersOf = (items: OfUser[]): number[] => [...new Set(items.map(({ userId }) => userId))];

const byUser = (rows: CartRow[]): Map<number, Cart> =>
  new Map(
    rows.map(({ userId, lines, ...row }) => [
      userId,
      { ...row, exists: lines !== null, lines: lines ?? {} },
    ]),
  );

const CART = `user_id as "userId", lines, checkouts, ended, floor, erased from carts`;

const FIND_CARTS = statement("find_carts", `select ${CART} where user_id = any($1)`);

const CREATE_CARTS = statement(
  "create_carts",
  `insert into carts (user_id)
   select user_id from unnest($1::integer[]) as user_id order by user_id
   on conflict (user_id) do nothing`,
);

const LOCK_CARTS = statement(
  "lock_carts",
  `select ${CART} where user_id = any($1) order by user_id for update`,
);

const WRITE_CARTS = statement(
  "write_carts",
  `update carts
      set lines = case when not cart.erased then coalesce(cart.lines::jsonb, carts.lines) end,
          checkouts = coalesce(cart.checkouts::jsonb, carts.checkouts),
          ended = coalesce(cart.ended::jsonb, carts.ended),
          floor = cart.floor, erased = cart.erased, updated_at = now()
     from unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::boolean[])
       as cart (user_id, lines, checkouts, ended, floor, erased)
    where carts.user_id = cart.user_id`,
);
