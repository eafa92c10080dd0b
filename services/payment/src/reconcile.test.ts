import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import type { Difference } from "@piata/contracts/payment";
import { openLog } from "@piata/kit/log";
import { metrics, openDatabase, type PaymentDatabase } from "./fixture.js";
import { Reconciler, type ReconcilerOptions } from "./reconcile.js";
import { RefundStore } from "./refund-store.js";
import { Sandbox } from "./sandbox.js";
import { PaymentStore } from "./store.js";

const short = ({ orderId, kind, ours, theirs }: Difference) => [orderId, kind, ours, theirs];

describe("reconciling", () => {
  let database: PaymentDatabase;
  let sandbox: Sandbox;
  let refunds: RefundStore;
  let reconciler: Reconciler;
  const opened: Reconciler[] = [];

  before(async () => {
    database = await openDatabase();
    sandbox = new Sandbox(database.connect(), { metrics, slowMs: 0 });
    refunds = new RefundStore(database.db, { metrics, leaseMs: 60_000 });
  });
  beforeEach(() => {
    reconciler = open();
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((one) => one.stop()));
    await database.execute("truncate payments, refunds, sandbox.ledger, sandbox.refunds");
  });
  after(() => database.drop());

  function open(options: Partial<ReconcilerOptions> = {}) {
    const one = new Reconciler({
      payments: new PaymentStore(database.db, metrics),
      refunds,
      provider: sandbox,
      log: openLog("payment-test", "silent"),
      providerTimeoutMs: 30_000,
      everyMs: 0,
      ageMs: 0,
      observe: () => undefined,
      ...options,
    });
    opened.push(one);
    return one;
  }
  const ledger = (orderId: number, method = "", amountMinor = 1_000) =>
    sandbox.charge({ key: `order-${orderId}`, amountMinor, currencyCode: "EUR", method });
  /** Charged in both books. */
  const charge = async (orderId: number) => {
    await ledger(orderId);
    await database.charged(orderId);
  };
  const refundAt = (orderId: number, refundKey: string, amountMinor: number) =>
    sandbox.refund({ key: `order-${orderId}`, refundKey, amountMinor, currencyCode: "EUR" });
  const begin = async (orderId: number, refundKey: string, amountMinor: number) => {
    const terms = { orderId, refundKey, amountMinor, currencyCode: "EUR" };
    return (await refunds.record(terms)).refund;
  };

  it("finds nothing in clean books, over many pages", async () => {
    const orderIds = Array.from({ length: 1_203 }, (_, index) => index + 1);
    await Promise.all(orderIds.map((orderId) => ledger(orderId)));
    await database.execute(
      `insert into payments (order_id, state, amount_minor, currency_code, payment_method)
       select id, 'CHARGED', 1000, 'EUR', '' from unnest($1::integer[]) as id`,
      [orderIds],
    );
    const refund = await begin(3, "a", 10);
    await refundAt(3, "a", 10);
    await refunds.settle({ ...refund, state: "REFUNDED" });
    const found = await reconciler.reconcile();
    assert.deepEqual(found, { compared: 2_406, repaired: 0, differing: 0, differences: [] });
  });

  it("takes over how charges ended that we do not know", async () => {
    const store = new PaymentStore(database.db, metrics);
    const terms = { amountMinor: 1_000, currencyCode: "EUR", declineReason: "" };
    const place = (orderId: number, paymentMethod = "") =>
      store.place({ ...terms, orderId, paymentMethod, state: "CHARGING" });
    await Promise.all([place(1), place(2, "declined"), place(3), place(4)]);
    await Promise.all([ledger(1), ledger(2, "declined"), sandbox.cancel("order-3")]);
    const found = await reconciler.reconcile();
    assert.deepEqual(found, { compared: 6, repaired: 3, differing: 0, differences: [] });
    const states = await Promise.all([1, 2, 3, 4].map((orderId) => database.payment(orderId)));
    assert.deepEqual(states, [
      { state: "CHARGED", declineReason: "" },
      { state: "DECLINED", declineReason: "CARD_DECLINED" },
      { state: "VOID", declineReason: "" },
      { state: "CHARGING", declineReason: "" },
    ]);
    assert.equal((await reconciler.reconcile()).repaired, 0);
  });

  it("takes over how refunds ended that we do not know", async () => {
    await Promise.all([charge(1), ledger(2, "refund-refused"), database.charged(2)]);
    await Promise.all([begin(1, "a", 300), begin(1, "b", 700), begin(2, "a", 1_000)]);
    await Promise.all([refundAt(1, "a", 300), refundAt(2, "a", 1_000)]);
    const found = await reconciler.reconcile();
    assert.deepEqual(found, { compared: 4, repaired: 2, differing: 0, differences: [] });
    const states = [...(await database.refunds(1)), ...(await database.refunds(2))];
    assert.deepEqual(
      states.map(({ state, refusalReason }) => [state, refusalReason]),
      [
        ["REFUNDED", ""],
        ["REFUNDING", ""],
        ["REFUSED", "REFUND_NOT_POSSIBLE"],
      ],
    );
    assert.deepEqual(await database.unbalanced(), []);
  });

  it("tells what it cannot mend, each kind of it, again and again", async () => {
    await Promise.all([1, 2, 3, 4, 5].map(charge));
    await ledger(6);
    await database.charged(7);
    await sandbox.charge({ key: "gift", amountMinor: 5, currencyCode: "EUR", method: "" });
    await database.execute("update sandbox.ledger set state = 'VOID' where key = 'order-2'");
    await database.execute("update sandbox.ledger set amount_minor = 999 where key = 'order-3'");
    await refundAt(4, "a", 5);
    await refunds.settle({ ...(await begin(5, "a", 6)), state: "REFUNDED" });
    const CHARGED = "CHARGED 1000 EUR";
    for (let times = 0; times < 2; times += 1) {
      const { repaired, differing, differences } = await reconciler.reconcile();
      assert.equal(repaired, 0);
      assert.equal(differing, 7);
      assert.deepEqual(differences.map(short).toSorted(), [
        [0, "MISSING_IN_OURS", "nothing", "CHARGED 5 EUR for the key gift"],
        [2, "STATE", CHARGED, "VOID"],
        [3, "AMOUNT", CHARGED, "CHARGED 999 EUR"],
        [4, "REFUNDS", "nothing REFUNDED", "REFUNDED 5 EUR (a 5)"],
        [5, "REFUNDS", "REFUNDED 6 EUR (a 6)", "nothing REFUNDED"],
        [6, "MISSING_IN_OURS", "nothing", CHARGED],
        [7, "MISSING_AT_PROVIDER", CHARGED, "nothing"],
      ]);
    }
  });

  it("tells a hundred differences, and counts the rest", async () => {
    await Promise.all(Array.from({ length: 120 }, (_, index) => ledger(index + 1)));
    const { differing, differences } = await reconciler.reconcile();
    assert.equal(differing, 120);
    assert.equal(differences.length, 100);
  });

  it("does not tell what was just under way", async () => {
    await database.charged(1);
    const late = open({
      provider: Object.assign(Object.create(sandbox), {
        // The charge is written behind the page that was read.
        list: async () => ({ entries: [], next: undefined }),
        findEntry: async (key: string) => {
          await ledger(1);
          return sandbox.findEntry(key);
        },
      }),
    });
    assert.equal((await late.reconcile()).differing, 0);
  });

  it("goes round by itself, one instance at a time, and tells how much differs", async () => {
    await database.charged(1);
    await database.execute("update payments set updated_at = now() - interval '1 hour'");
    const seen: number[] = [];
    const inside = Promise.withResolvers<void>();
    const hold = Promise.withResolvers<void>();
    const found = Promise.withResolvers<number>();
    const slow = Object.assign(Object.create(sandbox), {
      list: async (page: { after: string; limit: number }) => {
        inside.resolve();
        await hold.promise;
        return sandbox.list(page);
      },
    });
    open({ provider: slow, everyMs: 10, ageMs: 60_000, observe: found.resolve });
    await inside.promise;
    const skipped = Promise.withResolvers<void>();
    open({
      everyMs: 10,
      ageMs: 60_000,
      observe: (differences) => {
        seen.push(differences);
        skipped.resolve();
      },
    });
    await skipped.promise;
    assert.equal(seen[0], 0);
    hold.resolve();
    assert.equal(await found.promise, 1);
  });

  it("leaves out of its rounds what has just changed", async () => {
    await database.charged(1);
    const found = Promise.withResolvers<number>();
    open({ everyMs: 10, ageMs: 60_000, observe: found.resolve });
    assert.equal(await found.promise, 0);
    assert.equal((await reconciler.reconcile()).differing, 1);
  });

  it("goes on after a round in which the provider was away", async () => {
    await database.charged(1);
    const found = Promise.withResolvers<number>();
    let away = 2;
    const flaky = Object.assign(Object.create(sandbox), {
      list: (page: { after: string; limit: number }) =>
        away-- > 0 ? Promise.reject(new Error("away")) : sandbox.list(page),
    });
    open({ provider: flaky, everyMs: 10, observe: found.resolve });
    assert.equal(await found.promise, 1);
  });
});
