import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { metrics, openDatabase, type PaymentDatabase } from "./fixture.js";
import { charging, move, type Payment, tombstone } from "./payment.js";
import { PaymentStore } from "./store.js";

const terms = (orderId: number) => ({
  orderId,
  amountMinor: Number.MAX_SAFE_INTEGER,
  currencyCode: "EUR",
  paymentMethod: "success",
});
const ids = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

describe("the payment store", () => {
  let database: PaymentDatabase;
  let store: PaymentStore;
  let other: PaymentStore;

  before(async () => {
    database = await openDatabase();
    store = new PaymentStore(database.db, metrics);
    other = new PaymentStore(database.connect(), metrics);
  });
  after(() => database.drop());

  it("keeps the first row of an order and answers with it ever after", async () => {
    const payment = charging(terms(1));
    assert.deepEqual(await store.place(payment), { payment, isNew: true });
    const changed = charging({ ...terms(1), amountMinor: 5 });
    assert.deepEqual(await store.place(changed), { payment, isNew: false });
    assert.deepEqual(await store.place(tombstone(1)), { payment, isNew: false });
  });

  it("places one row when the same order is in a batch twice", async () => {
    const placed = await Promise.all([store.place(charging(terms(2))), store.place(tombstone(2))]);
    assert.deepEqual(placed[0]?.payment, placed[1]?.payment);
  });

  it("settles only what is CHARGING and answers with what stands", async () => {
    const payment = charging(terms(3));
    await store.place(payment);
    const declined = move(payment, "DECLINED", "CARD_DECLINED");
    assert.deepEqual(await store.settle(declined), declined);
    assert.deepEqual(await store.settle(move(payment, "CHARGED")), declined);
    await store.place(tombstone(4));
    const late = move(charging(terms(4)), "CHARGED");
    assert.equal((await store.settle(late)).state, "VOID");
  });

  it("tells two instances that place the same orders at once the same", async () => {
    const orderIds = ids(1_000, 300);
    const [placed, buried] = await Promise.all([
      Promise.all(orderIds.map((orderId) => store.place(charging(terms(orderId))))),
      Promise.all(orderIds.toReversed().map((orderId) => other.place(tombstone(orderId)))),
    ]);
    buried.reverse();
    placed.forEach(({ payment, isNew }, index) => {
      assert.deepEqual(payment, buried[index]?.payment);
      assert.notEqual(isNew, buried[index]?.isNew);
      assert.equal(payment.state, isNew ? "CHARGING" : "VOID");
    });
  });

  it("lets one of two instances win that settle the same orders at once", async () => {
    const orderIds = ids(2_000, 300);
    const payments = orderIds.map((orderId) => charging(terms(orderId)));
    await Promise.all(payments.map((payment) => store.place(payment)));
    const settle = (by: PaymentStore, state: "CHARGED" | "VOID", which: Payment[]) =>
      Promise.all(which.map((payment) => by.settle(move(payment, state))));
    const [charged, voided] = await Promise.all([
      settle(store, "CHARGED", payments),
      settle(other, "VOID", payments.toReversed()),
    ]);
    assert.deepEqual(charged, voided.reverse());
  });
});
