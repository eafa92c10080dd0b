import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { isFailure } from "@piata/kit/errors";
import { metrics, openDatabase, type PaymentDatabase } from "./fixture.js";
import { conclude, type Refund, type RefundVerdict } from "./refund.js";
import { RefundStore } from "./refund-store.js";

const REFUNDED: RefundVerdict = { state: "REFUNDED", refusalReason: "" };
const REFUSED: RefundVerdict = { state: "REFUSED", refusalReason: "CARD_GONE" };
const LEASE_MS = 60_000;

const terms = (orderId: number, refundKey: string, amountMinor: number) => ({
  orderId,
  refundKey,
  amountMinor,
  currencyCode: "EUR",
});
const ids = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

describe("the refund store", () => {
  let database: PaymentDatabase;
  let store: RefundStore;
  let other: RefundStore;

  before(async () => {
    database = await openDatabase();
    store = new RefundStore(database.db, { metrics, leaseMs: LEASE_MS });
    other = new RefundStore(database.connect(), { metrics, leaseMs: LEASE_MS });
  });
  after(async () => {
    assert.deepEqual(await database.unbalanced(), []);
    await database.drop();
  });

  const refusal = (reason: string) => (error: unknown) => isFailure(error, reason);
  const makeDue = (orderIds: number[]) =>
    database.execute(
      `update refunds set next_try_at = now() where order_id = any($1) and state = 'REFUNDING'`,
      [orderIds],
    );

  it("keeps the first refund of a key and answers with it ever after", async () => {
    await database.charged(1);
    const refund: Refund = {
      ...terms(1, "a", 600),
      state: "REFUNDING",
      refusalReason: "",
      tries: 0,
    };
    assert.deepEqual(await store.record(terms(1, "a", 600)), { refund, isNew: true });
    assert.deepEqual(await other.record(terms(1, "a", 600)), { refund, isNew: false });
    await assert.rejects(store.record(terms(1, "a", 601)), refusal("REFUND_MISMATCH"));
  });

  it("refuses refunds of what is not charged, and beyond what is", async () => {
    await assert.rejects(store.record(terms(2, "a", 1)), refusal("NOT_CHARGED"));
    await database.charged(3);
    await assert.rejects(store.record(terms(3, "a", 1_001)), refusal("REFUND_EXCEEDS_CHARGE"));
    assert.deepEqual(await database.refunds(3), []);
  });

  it("lets one refund fail without its neighbours in the batch", async () => {
    await database.charged(4);
    const outcomes = await Promise.allSettled([
      store.record(terms(4, "a", 700)),
      store.record(terms(4, "b", 700)),
      store.record(terms(2, "c", 1)),
      store.record(terms(4, "d", 300)),
    ]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ["fulfilled", "rejected", "rejected", "fulfilled"],
    );
  });

  it("gives a refused amount back once, and a refunded one never", async () => {
    await database.charged(5);
    const { refund } = await store.record(terms(5, "a", 1_000));
    await assert.rejects(store.record(terms(5, "b", 1)), refusal("REFUND_EXCEEDS_CHARGE"));
    const settled = await Promise.all([
      store.settle(conclude(refund, REFUSED)),
      store.settle(conclude(refund, REFUSED)),
      other.settle(conclude(refund, REFUSED)),
    ]);
    for (const standing of settled) assert.deepEqual(standing, conclude(refund, REFUSED));
    const { refund: second } = await store.record(terms(5, "b", 1_000));
    await store.settle(conclude(second, REFUNDED));
    assert.equal((await other.settle(conclude(second, REFUSED))).state, "REFUNDED");
    await assert.rejects(store.record(terms(5, "c", 1)), refusal("REFUND_EXCEEDS_CHARGE"));
  });

  it("lets of two instances pass no more than the charge, whatever the order", async () => {
    const orderIds = ids(1_000, 100);
    for (const orderId of orderIds) await database.charged(orderId);
    const ask = (by: RefundStore, refundKey: string, which: number[]) =>
      Promise.allSettled(which.map((orderId) => by.record(terms(orderId, refundKey, 600))));
    const [ours, theirs] = await Promise.all([
      ask(store, "a", orderIds),
      ask(other, "b", orderIds.toReversed()),
    ]);
    theirs.reverse();
    ours.forEach((outcome, index) => {
      const failed = [outcome, theirs[index]].filter((one) => one?.status === "rejected");
      assert.equal(failed.length, 1);
      assert.ok(isFailure((failed[0] as PromiseRejectedResult).reason, "REFUND_EXCEEDS_CHARGE"));
    });
    assert.deepEqual(await database.unbalanced(), []);
  });

  it("agrees on how refunds end that two instances settle while more are recorded", async () => {
    const orderIds = ids(2_000, 100);
    for (const orderId of orderIds) await database.charged(orderId);
    const begun = await Promise.all(orderIds.map((id) => store.record(terms(id, "a", 900))));
    const refunds = begun.map(({ refund }) => refund);
    const settle = (by: RefundStore, verdict: RefundVerdict, which: Refund[]) =>
      Promise.all(which.map((refund) => by.settle(conclude(refund, verdict))));
    const [one, two] = await Promise.all([
      settle(store, REFUNDED, refunds),
      settle(other, REFUSED, refunds.toReversed()),
      Promise.all(orderIds.map((id) => other.record(terms(id, "b", 100)))),
    ]);
    assert.deepEqual(one, two.reverse());
  });

  it("hands what is due to one claimant, for as long as the lease lasts", async () => {
    const orderIds = ids(3_000, 20);
    for (const orderId of orderIds) await database.charged(orderId);
    await Promise.all(orderIds.map((orderId) => store.record(terms(orderId, "a", 1))));
    assert.deepEqual(await store.claim(100), []);
    await makeDue(orderIds);
    const claimed = (await Promise.all([store.claim(15), other.claim(15)])).flat();
    const rest = await store.claim(15);
    const all = [...claimed, ...rest].map(({ orderId }) => orderId).sort();
    assert.deepEqual(all, orderIds);
    assert.deepEqual(await other.claim(100), []);
  });

  it("makes a refund due again when it is put off, but not one that has ended", async () => {
    await database.charged(6);
    const { refund } = await store.record(terms(6, "a", 1));
    await store.putOff(refund, 0);
    assert.deepEqual(await store.claim(100), [{ ...refund, tries: 1 }]);
    await store.settle(conclude(refund, REFUNDED));
    await store.putOff(refund, 0);
    assert.deepEqual(await store.claim(100), []);
  });
});
