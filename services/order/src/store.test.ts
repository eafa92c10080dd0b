import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { failedPrecondition } from "@piata/kit/errors";
import { Metrics } from "@piata/kit/metrics";
import { type Statement, statement } from "@piata/kit/pg";
import { type OrderDatabase, openDatabase } from "./fixture.js";
import { TRACE_ID } from "./neighbours.fixture.js";
import { move, type Order, settle } from "./order.js";
import { OrderStore } from "./store.js";
import type { Wish } from "./wish.js";

const LEASE_MS = 60_000;
const EMPTY = statement(
  "test_empty",
  `truncate orders, refunds, idempotency_keys restart identity`,
);
const AGE_KEYS = statement(
  "test_age_keys",
  `update idempotency_keys set created_at = now() - $1::text::interval`,
);
const AGE_ORDERS = statement(
  "test_age_orders",
  `update orders set created_at = now() - interval '25 hours'`,
);
const ALL_DUE = statement(
  "test_all_due",
  `update orders set next_try_at = now() where next_try_at is not null`,
);
const COUNT_ORDERS = statement("test_count_orders", `select count(*)::integer from orders`);
const COUNT_KEYS = statement("test_count_keys", `select count(*)::integer from idempotency_keys`);
const LEASE_END = statement("test_lease_end", "select next_try_at as at from orders where id = $1");
const SET_LEASE = statement(
  "test_set_lease",
  `update orders set next_try_at = now() + $2::integer * interval '1 millisecond' where id = $1`,
);
const ROW = statement(
  "test_row",
  `select state, tries, next_try_at - now() as "due", approved_at is not null as approved
     from orders where id = $1`,
);

const wish = (userId: number, other: Partial<Wish> = {}): Wish => ({
  userId,
  passport: "",
  traceId: TRACE_ID,
  spanId: "",
  paymentMethod: "success",
  idempotencyKey: "",
  expectedTotalMinor: undefined,
  deadlineMs: Number.POSITIVE_INFINITY,
  ...other,
});

describe("the order store", () => {
  let database: OrderDatabase;
  let store: OrderStore;
  /** Another instance of the service. */
  let other: OrderStore;

  before(async () => {
    database = await openDatabase();
    const open = (db = database.db) =>
      new OrderStore(db, { metrics: new Metrics("order-test"), leaseMs: LEASE_MS });
    store = open();
    other = open(database.connect());
  });
  beforeEach(() => database.db.rows(EMPTY));
  after(() => database.drop());

  const count = async (sql: Statement) =>
    (await database.db.rows<{ count: number }>(sql))[0]?.count;
  const place = async (one: Wish, by = store) => (await by.placeIntent(one)).orderId;
  /** A new intent, as a worker that claims it sees it. */
  const intent = async (userId = 1): Promise<Order> => {
    const id = await place(wish(userId));
    await database.db.rows(ALL_DUE);
    const claimed = await store.claim(1_000);
    return claimed.find((order) => order.id === id) as Order;
  };
  const lines = [{ productId: 1, quantity: 2 }];

  describe("an intent", () => {
    it("is written for each wish without a key, and nobody is told of it", async () => {
      const ids = await Promise.all(Array.from({ length: 30 }, () => place(wish(1))));
      assert.equal(new Set(ids).size, 30);
      assert.equal((await store.findOrders(ids as number[])).size, 0);
      assert.deepEqual(await store.listOrders(1, 0, 100), []);
      assert.equal(await store.findLastOrderId(1), undefined);
    });

    it("is one for a key, in one batch and in many, on all instances", async () => {
      const wishes = Array.from({ length: 100 }, (_, index) =>
        place(wish(1, { idempotencyKey: "key" }), index % 2 ? store : other),
      );
      const ids = (await Promise.all(wishes)).filter((id) => id !== undefined);
      assert.equal(ids.length, 1);
      assert.equal(await count(COUNT_ORDERS), 1);
      const answer = await store.findFirstAnswer(wish(1, { idempotencyKey: "key" }));
      assert.deepEqual(answer, {
        arguments: '["success",null]',
        orderId: ids[0],
        state: "INTENT",
        failure: null,
      });
    });

    it("is answered in its place, beside repeated keys and none", async () => {
      const keys = ["a", "", "b", "a", "", "b"];
      const ids = await Promise.all(
        keys.map((idempotencyKey, index) => place(wish(index % 2, { idempotencyKey }))),
      );
      // User 0 has a, b; user 1 has a, b as well: each its own.
      assert.equal(ids.filter((id) => id === undefined).length, 0);
      const again = await Promise.all(
        keys.map((idempotencyKey, index) => place(wish(index % 2, { idempotencyKey }))),
      );
      assert.deepEqual(
        again.map((id) => id !== undefined),
        [false, true, false, false, true, false],
      );
      assert.equal(await count(COUNT_ORDERS), 8);
    });

    it("never waits for another that has the same keys in another order", async () => {
      const keys = Array.from({ length: 60 }, (_, index) => `key-${index}`);
      for (let round = 0; round < 10; round += 1) {
        const all = (by: OrderStore, order: string[]) =>
          order.map((key) => place(wish(1, { idempotencyKey: `${round} ${key}` }), by));
        const ids = await Promise.all([...all(store, keys), ...all(other, keys.toReversed())]);
        assert.equal(ids.filter((id) => id !== undefined).length, keys.length);
      }
    });
  });

  describe("a key", () => {
    const keyed = wish(1, { idempotencyKey: "key" });

    it("belongs to its first order for 24 hours, and is free then", async () => {
      const first = await place(keyed);
      await database.db.rows(AGE_KEYS, ["23 hours 59 minutes"]);
      assert.equal(await place(keyed), undefined);
      await database.db.rows(AGE_KEYS, ["24 hours 1 second"]);
      const second = await place({ ...keyed, paymentMethod: "declined" });
      assert.notEqual(second, first);
      const answer = await store.findFirstAnswer(keyed);
      assert.deepEqual([answer?.orderId, answer?.arguments], [second, '["declined",null]']);
    });

    it("keeps a failure that was its first answer, and no later one", async () => {
      const empty = failedPrecondition("CART_EMPTY", "Nothing there.", { lastOrderId: "7" });
      assert.equal(await store.keepFailure(keyed, empty), true);
      assert.equal(await other.keepFailure(keyed, failedPrecondition("OTHER", "")), false);
      assert.equal(await place(keyed), undefined);
      assert.deepEqual((await store.findFirstAnswer(keyed))?.failure, {
        code: "FAILED_PRECONDITION",
        reason: "CART_EMPTY",
        message: "Nothing there.",
        metadata: { lastOrderId: "7" },
      });
    });

    it("of an order takes no failure, until it is 24 hours old", async () => {
      const failure = failedPrecondition("CART_EMPTY", "Nothing there.");
      await place(keyed);
      assert.equal(await store.keepFailure(keyed, failure), false);
      await database.db.rows(AGE_KEYS, ["25 hours"]);
      assert.equal(await store.keepFailure(keyed, failure), true);
      assert.equal((await store.findFirstAnswer(keyed))?.orderId, null);
    });

    it("is one, whether an order or a failure comes first", async () => {
      for (let round = 0; round < 20; round += 1) {
        const one = wish(1, { idempotencyKey: `key-${round}` });
        const failure = failedPrecondition("CART_EMPTY", "Nothing there.");
        const [id, kept] = await Promise.all([place(one), other.keepFailure(one, failure)]);
        assert.equal(id === undefined, kept);
      }
    });

    it("is dropped an hour after it has become free", async () => {
      await place(keyed);
      await database.db.rows(AGE_KEYS, ["24 hours 30 minutes"]);
      await store.dropOldKeys();
      assert.equal(await count(COUNT_KEYS), 1);
      await database.db.rows(AGE_KEYS, ["25 hours 1 second"]);
      await store.dropOldKeys();
      assert.equal(await count(COUNT_KEYS), 0);
    });

    it("is given back when its intent has ended, not before", async () => {
      const id = (await place(keyed)) as number;
      await database.db.rows(ALL_DUE);
      const [order] = (await store.claim(1)) as [Order];
      const abandoned = move(order, "ABANDONED");
      await store.advance(abandoned);
      assert.equal((await store.findFirstAnswer(keyed))?.state, "ABANDONED");
      await store.advance(settle(abandoned.order));
      assert.equal(await store.findFirstAnswer(keyed), undefined);
      assert.equal((await store.findOrders([id])).size, 0);
    });
  });

  describe("a move", () => {
    it("is made only from the state that the mover saw, by one of many", async () => {
      const order = await intent();
      const created = move(order, "CREATED", { lines });
      const abandoned = move(order, "ABANDONED");
      const moves = Array.from({ length: 40 }, (_, index) =>
        (index % 3 ? store : other).advance(index % 2 ? created : abandoned),
      );
      assert.equal((await Promise.all(moves)).filter((won) => won).length, 1);
    });

    it("has one winner among rivals in the same batch", async () => {
      for (let round = 0; round < 10; round += 1) {
        const order = await intent();
        const rivals = [move(order, "ABANDONED"), move(order, "CREATED", { lines })];
        const won = await Promise.all(rivals.map((rival) => store.advance(rival)));
        assert.deepEqual(won.map(Boolean), [true, false]);
        assert.equal((await database.row(order.id))?.state, "ABANDONED");
      }
    });

    it("that is late is not helped nor hindered by one in its batch that is not", async () => {
      const order = await intent();
      const created = move(order, "CREATED", { lines });
      assert.equal((await store.advance(created))?.state, "CREATED");
      const approval = { lines, totalMinor: 200, currencyCode: "EUR" };
      const [late, due] = await Promise.all([
        store.advance(move(order, "ABANDONED")),
        store.advance(move(created.order, "APPROVED", approval)),
      ]);
      assert.deepEqual([late, due?.state], [undefined, "APPROVED"]);
      assert.equal((await database.row(order.id))?.state, "APPROVED");
    });

    it("writes what it brings, and the time at which the stock was held", async () => {
      const order = await intent();
      const created = move(order, "CREATED", { lines });
      await store.advance(created);
      const priced = [{ productId: 1, quantity: 2, unitPriceMinor: 100 }];
      const approval = { lines: priced, totalMinor: 200, currencyCode: "EUR" };
      await store.advance(move(created.order, "APPROVED", approval));
      await database.db.rows(ALL_DUE);
      const [found] = await store.claim(1);
      assert.ok(found?.approvedAt);
      assert.deepEqual(found, {
        ...order,
        ...approval,
        state: "APPROVED",
        approvedAt: found.approvedAt,
      });
      const paid = move(found, "PAID");
      await store.advance(paid);
      assert.deepEqual(await database.row(order.id), { state: "PAID", open: true });
      await store.advance(settle(paid.order));
      assert.deepEqual(await database.row(order.id), { state: "PAID", open: false });
      assert.deepEqual((await store.findOrders([order.id])).get(order.id)?.lines, priced);
    });

    it("renews its lease when that is no longer fresh, and leaves it alone before", async () => {
      const order = await intent();
      const leaseEnd = async () =>
        (await database.db.rows<{ at: Date }>(LEASE_END, [order.id]))[0]?.at.getTime() ?? 0;
      await database.db.rows(SET_LEASE, [order.id, LEASE_MS]);
      const fresh = await leaseEnd();
      const created = move(order, "CREATED", { lines });
      await store.advance(created);
      assert.equal(await leaseEnd(), fresh);
      await database.db.rows(SET_LEASE, [order.id, LEASE_MS / 2]);
      const half = await leaseEnd();
      const approval = { lines, totalMinor: 200, currencyCode: "EUR" };
      await store.advance(move(created.order, "APPROVED", approval));
      assert.ok((await leaseEnd()) >= half + LEASE_MS / 2);
    });

    it("tells its worker that the customer wants the order undone", async () => {
      const order = await intent();
      const created = await store.advance(move(order, "CREATED", { lines }));
      assert.equal(created?.cancelRequested, false);
      assert.equal((await store.requestCancel(order.id, order.userId))?.cancelRequested, true);
      const approval = { lines, totalMinor: 200, currencyCode: "EUR" };
      const approved = await store.advance(move(created as Order, "APPROVED", approval));
      assert.equal(approved?.cancelRequested, true);
    });

    it("never waits for another batch with the same orders in another order", async () => {
      await Promise.all(Array.from({ length: 200 }, () => place(wish(1))));
      await database.db.rows(ALL_DUE);
      const orders = await store.claim(1_000);
      assert.equal(orders.length, 200);
      const moves = orders.map((order) => move(order, "CREATED", { lines }));
      const won = await Promise.all([
        ...moves.map((one) => store.advance(one)),
        ...moves.toReversed().map((one) => other.advance(one)),
      ]);
      assert.equal(won.filter(Boolean).length, 200);
    });
  });

  describe("a claim", () => {
    it("takes only what is due, the longest due first, and leases it", async () => {
      const first = await place(wish(1));
      assert.deepEqual(await store.claim(10), []);
      await database.db.rows(ALL_DUE);
      const second = await place(wish(1));
      await database.db.rows(ALL_DUE);
      assert.deepEqual(
        (await store.claim(1)).map(({ id }) => id),
        [first],
      );
      assert.deepEqual(
        (await other.claim(10)).map(({ id }) => id),
        [second],
      );
      assert.deepEqual(await store.claim(10), []);
    });

    it("gives no order to two workers, however many claim at once", async () => {
      await Promise.all(Array.from({ length: 300 }, () => place(wish(1))));
      await database.db.rows(ALL_DUE);
      const claims = await Promise.all(
        Array.from({ length: 24 }, (_, index) => (index % 2 ? store : other).claim(30)),
      );
      for (const claimed of claims) assert.ok(claimed.length <= 30);
      const rest = await store.claim(1_000);
      const ids = [...claims.flat(), ...rest].map(({ id }) => id);
      assert.equal(ids.length, 300);
      assert.equal(new Set(ids).size, 300);
    });

    it("takes an order again when its lease has run out, but none that is over", async () => {
      const order = await intent();
      const abandoned = move(order, "ABANDONED");
      await database.db.rows(ALL_DUE);
      assert.deepEqual(await other.claim(10), [order]);
      await store.advance(abandoned);
      await store.advance(settle(abandoned.order));
      await database.db.rows(ALL_DUE);
      assert.deepEqual(await store.claim(10), []);
    });
  });

  describe("an order that is put off", () => {
    const due = async ({ id }: Order) =>
      (await database.db.rows<{ tries: number; due: { seconds?: number } | null }>(ROW, [id]))[0];

    it("is due after the delay, counts its tries, and starts anew with a move", async () => {
      const order = await intent();
      await store.putOff(order, 0);
      const [again] = (await store.claim(1)) as [Order];
      assert.deepEqual(again, { ...order, tries: 1 });
      await store.putOff(again, 30_000);
      assert.equal((await due(order))?.tries, 2);
      const seconds = (await due(order))?.due?.seconds ?? 0;
      assert.ok(seconds > 20 && seconds <= 30, `${seconds}`);
      await store.advance(move(again, "CREATED", { lines }));
      assert.equal((await due(order))?.tries, 0);
    });

    it("is left alone when it has moved on, or is over", async () => {
      const order = await intent();
      const abandoned = move(order, "ABANDONED");
      await store.advance(abandoned);
      await store.putOff(order, 0);
      assert.deepEqual(await store.claim(1), []);
      await store.advance(settle(abandoned.order));
      await store.putOff(abandoned.order, 0);
      assert.equal((await due(order))?.due, null);
    });
  });

  describe("a user's orders", () => {
    const placed = async (userId: number) => {
      const order = await intent(userId);
      await store.advance(move(order, "CREATED", { lines }));
      return order.id;
    };

    it("come newest first, in pages, without another's and without intents", async () => {
      const ids: number[] = [];
      for (let index = 0; index < 5; index += 1) ids.unshift(await placed(1));
      await placed(2);
      await place(wish(1));
      const page = async (from: number, limit: number) =>
        (await store.listOrders(1, from, limit)).map(({ id }) => id);
      assert.deepEqual(await page(0, 100), ids);
      assert.deepEqual(await page(0, 2), ids.slice(0, 2));
      assert.deepEqual(await page(ids[1] as number, 2), ids.slice(2, 4));
      assert.deepEqual(await page(ids[4] as number, 2), []);
      assert.equal(await store.findLastOrderId(1), ids[0]);
    });

    it("have a last one for 24 hours", async () => {
      await placed(1);
      await database.db.rows(AGE_ORDERS);
      assert.equal(await store.findLastOrderId(1), undefined);
    });
  });

  describe("a cancellation", () => {
    it("makes an unpaid order of the user due at once, and no other", async () => {
      const order = await intent();
      assert.equal(await store.requestCancel(order.id, order.userId), undefined, "nobody knows it");
      await store.advance(move(order, "CREATED", { lines }));
      assert.equal(await store.requestCancel(order.id, order.userId + 1), undefined);
      assert.equal((await store.claim(10)).length, 0);
      await store.requestCancel(order.id, order.userId);
      assert.deepEqual(
        (await store.claim(10)).map(({ id, cancelRequested }) => [id, cancelRequested]),
        [[order.id, true]],
      );
    });
  });

  describe("an order that was set aside", () => {
    it("is nobody's, is listed, and is taken up again when it is retried", async () => {
      const order = await intent();
      const created = (await store.advance(move(order, "CREATED", { lines }))) as Order;
      await store.setAside(created, "INTERNAL");
      await database.db.rows(ALL_DUE);
      assert.equal((await store.claim(10)).length, 0);
      const [found] = await store.listSetAside(0, 10);
      assert.deepEqual([found?.id, found?.setAsideReason], [order.id, "INTERNAL"]);
      assert.equal(await store.countSetAside(), 1);
      assert.equal((await store.retry(order.id))?.setAsideReason, "");
      assert.deepEqual(
        (await store.claim(10)).map(({ id }) => id),
        [order.id],
      );
    });

    it("is not set aside by a worker that is late", async () => {
      const order = await intent();
      const created = (await store.advance(move(order, "CREATED", { lines }))) as Order;
      const approval = { lines, totalMinor: 200, currencyCode: "EUR" };
      await store.advance(move(created, "APPROVED", approval));
      await store.setAside(created, "INTERNAL");
      assert.equal(await store.countSetAside(), 0);
    });
  });
});
