import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { Metrics } from "@piata/kit/metrics";
import { statement } from "@piata/kit/pg";
import { type OrderDatabase, openDatabase } from "./fixture.js";
import { TRACE_ID } from "./neighbours.fixture.js";
import type { RefundJob } from "./refund.js";
import { RefundStore } from "./refund-store.js";
import { OrderStore } from "./store.js";

const LEASE_MS = 60_000;
const TOTAL_MINOR = 1_000;
const EMPTY = statement("test_empty", `truncate orders, refunds restart identity`);
const PLACE = statement(
  "test_place",
  `insert into orders (user_id, state, payment_method, trace_id, total_minor, currency_code)
   values (1, $1, '', '${TRACE_ID}', ${TOTAL_MINOR}, 'EUR')
   returning id`,
);
const ALL_DUE = statement("test_all_due", `update refunds set next_try_at = now()`);

describe("the refunds of an order", () => {
  let database: OrderDatabase;
  let refunds: RefundStore;
  let other: RefundStore;
  let orders: OrderStore;
  before(async () => {
    database = await openDatabase();
    refunds = new RefundStore(database.db, LEASE_MS);
    other = new RefundStore(database.connect(), LEASE_MS);
    orders = new OrderStore(database.db, { metrics: new Metrics("test"), leaseMs: LEASE_MS });
  });
  beforeEach(() => database.db.rows(EMPTY));
  after(() => database.drop());

  const placed = async (state = "PAID") =>
    (await database.db.rows<{ id: number }>(PLACE, [state]))[0]?.id as number;
  const ask = (orderId: number, refundKey: string, amountMinor = 0, store = refunds) =>
    store.request({ orderId, refundKey, amountMinor, traceId: TRACE_ID });
  const refunded = async (orderId: number) =>
    (await orders.findOrders([orderId])).get(orderId)?.refundedMinor;

  it("take all that is left when no amount is named", async () => {
    const orderId = await placed();
    assert.equal((await ask(orderId, "a", 300))?.amountMinor, 300);
    assert.equal((await ask(orderId, "b"))?.amountMinor, 700);
    assert.equal(await refunded(orderId), TOTAL_MINOR);
  });

  it("are promised once per key, however often and from however many sides they are asked", async () => {
    const orderId = await placed();
    const jobs = await Promise.all(
      Array.from({ length: 40 }, (_, index) => ask(orderId, "a", 400, index % 2 ? refunds : other)),
    );
    assert.equal(jobs.filter(Boolean).length, 1);
    assert.equal(await refunded(orderId), 400);
    await assert.rejects(ask(orderId, "a", 401), { reason: "REFUND_MISMATCH" });
  });

  it("never exceed the total, also when they are asked at once", async () => {
    const orderId = await placed();
    const asked = await Promise.allSettled(
      Array.from({ length: 20 }, (_, index) => ask(orderId, `k${index}`, 300)),
    );
    assert.equal(asked.filter(({ status }) => status === "fulfilled").length, 3);
    assert.equal(await refunded(orderId), 900);
    await assert.rejects(ask(orderId, "more", 101), { reason: "REFUND_EXCEEDS_TOTAL" });
  });

  it("are for paid orders that exist", async () => {
    for (const state of ["CREATED", "APPROVED", "PAYMENT_FAILED", "ITEMS_REJECTED"]) {
      await assert.rejects(ask(await placed(state), "a"), { reason: "ORDER_NOT_PAID" });
    }
    await assert.rejects(ask(999, "a"), { reason: "ORDER_NOT_FOUND" });
    await assert.rejects(ask(await placed("INTENT"), "a"), { reason: "ORDER_NOT_FOUND" });
  });

  it("are worked on by one at a time, until they are over", async () => {
    const orderId = await placed();
    const job = (await ask(orderId, "a", 300)) as RefundJob;
    assert.deepEqual(await refunds.claim(10), [], "whoever promised it has the lease");
    await database.db.rows(ALL_DUE);
    const claimed = await Promise.all([refunds.claim(10), other.claim(10)]);
    assert.deepEqual(claimed.flat(), [job]);
    await refunds.putOff(job, 0);
    assert.deepEqual(await other.claim(10), [{ ...job, tries: 1 }]);
    await refunds.finish(job);
    await refunds.putOff(job, 0);
    await refunds.refuse(job, "TOO_LATE");
    assert.deepEqual(await other.claim(10), []);
    assert.equal(await refunded(orderId), 300);
  });

  it("give their amount back to the order when they are refused, once", async () => {
    const orderId = await placed();
    const job = (await ask(orderId, "a", 300)) as RefundJob;
    await Promise.all([refunds.refuse(job, "NO"), other.refuse(job, "NO")]);
    await refunds.finish(job);
    assert.equal(await refunded(orderId), 0);
    assert.equal((await ask(orderId, "b"))?.amountMinor, TOTAL_MINOR);
  });
});
