import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { RefundState } from "@piata/contracts/payment";
import { fromStatus, isFailure } from "@piata/kit/errors";
import { until } from "@piata/testkit/until";
import {
  CHARGED,
  openDatabase,
  type PaymentDatabase,
  REFUND_PENDING,
  REFUNDED,
  type RunningPayment,
  refused,
  startPayment,
  untilKnown,
  untilRefundKnown,
} from "./fixture.js";

// Longer than any test runs: what is given back slowly with it is cut off.
const FOREVER = "600000";
// The job is tested by itself; here it would mend what a test waits to see mended otherwise.
const QUIET = { PAYMENT_RECONCILE_SECONDS: "0" };
const amount = (amountMinor: number, currencyCode = "EUR") => ({ amountMinor, currencyCode });
const isRefusal = (reason: string) => (error: unknown) =>
  isFailure(error, reason) && error.code === "FAILED_PRECONDITION";

describe("two instances of payment that refund", () => {
  let database: PaymentDatabase;
  let one: RunningPayment;
  let two: RunningPayment;

  before(async () => {
    database = await openDatabase();
    const start = () => startPayment(database.url, QUIET);
    [one, two] = await Promise.all([start(), start()]);
  });
  after(async () => {
    for (const instance of [one, two]) {
      assert.equal(await instance.stop(), 0);
      assert.doesNotMatch(instance.output(), /"level":"error"/);
    }
    assert.deepEqual(await database.unbalanced(), []);
    await database.drop();
  });

  const charge = (orderId: number, paymentMethod = "") =>
    untilKnown(() => one.charge(orderId, { paymentMethod, amount: amount(1_000) }));

  it("give money back once that is asked for a hundred times in parallel", async () => {
    await charge(1);
    const asked = Array.from({ length: 50 }, () =>
      [one, two].map((instance) => untilRefundKnown(() => instance.refund(1, "a", 400))),
    ).flat();
    for (const refund of await Promise.all(asked)) assert.deepEqual(refund, REFUNDED);
    const written = [{ refundKey: "a", amountMinor: 400, state: "REFUNDED", refusalReason: "" }];
    assert.deepEqual(await database.ledgerRefunds(1), written);
    assert.deepEqual(await database.refunds(1), written);
    assert.deepEqual(await one.refund(1, "a", 400), REFUNDED);
  });

  it("let exactly one of two pass that are together more than the charge", async () => {
    const orderIds = Array.from({ length: 40 }, (_, index) => 100 + index);
    await Promise.all(orderIds.map((orderId) => charge(orderId)));
    const outcomes = await Promise.all(
      orderIds.map((orderId) =>
        Promise.allSettled([
          untilRefundKnown(() => one.refund(orderId, "a", 600)),
          untilRefundKnown(() => two.refund(orderId, "b", 600)),
        ]),
      ),
    );
    for (const pair of outcomes) {
      const failed = pair.filter((outcome) => outcome.status === "rejected");
      assert.equal(failed.length, 1);
      assert.ok(isFailure(failed[0]?.reason, "REFUND_EXCEEDS_CHARGE"));
    }
    for (const orderId of orderIds) assert.equal((await database.ledgerRefunds(orderId)).length, 1);
  });

  it("decide several refunds of one order in one batch one by one", async () => {
    await charge(2);
    const items = [600, 500, 400].map((amountMinor, index) => ({
      orderId: 2,
      refundKey: `line-${index}`,
      amount: amount(amountMinor),
    }));
    const { results } = await one.rpc.batchRefund({ items }, one.options());
    assert.deepEqual(
      results.map(({ failure }) => failure && fromStatus(failure).reason),
      [undefined, "REFUND_EXCEEDS_CHARGE", undefined],
    );
  });

  it("say why the provider refused, for good, and take the next refund", async () => {
    await charge(3, "refund-refused");
    const refusal = refused("REFUND_NOT_POSSIBLE");
    assert.deepEqual(await untilRefundKnown(() => one.refund(3, "a", 1_000)), refusal);
    assert.deepEqual(await two.refund(3, "a", 1_000), refusal);
    assert.deepEqual(await untilRefundKnown(() => two.refund(3, "b", 1_000)), refusal);
    assert.deepEqual(await database.unbalanced(), []);
  });

  it("finish a refund whose answer was lost, without being asked again", async () => {
    await charge(4, "refund-answer-lost");
    assert.deepEqual(await one.refund(4, "a", 1_000), REFUND_PENDING);
    await until(async () => (await database.refunds(4))[0]?.state === "REFUNDED");
    assert.equal((await database.ledgerRefunds(4)).length, 1);
  });

  it("refuse what was not charged, in its currency, or came with another amount", async () => {
    await one.void(5);
    await assert.rejects(one.refund(5, "a", 1), isRefusal("NOT_CHARGED"));
    await assert.rejects(one.refund(999, "a", 1), isRefusal("NOT_CHARGED"));
    await untilKnown(() => one.charge(6, { paymentMethod: "declined" }));
    await assert.rejects(one.refund(6, "a", 1), isRefusal("NOT_CHARGED"));
    await charge(7);
    await assert.rejects(one.refund(7, "a", 1_001), isRefusal("REFUND_EXCEEDS_CHARGE"));
    await untilRefundKnown(() => one.refund(7, "a", 1_000));
    await assert.rejects(one.refund(7, "a", 999), isRefusal("REFUND_MISMATCH"));
  });

  it("refund the neighbours of a bad item", async () => {
    await charge(8);
    const good = { orderId: 8, refundKey: "a", amount: amount(1) };
    const items = [
      good,
      { ...good, orderId: 0 },
      { ...good, amount: amount(0) },
      { ...good, amount: undefined },
      { ...good, refundKey: "" },
      { ...good, refundKey: "b", amount: amount(1, "USD") },
      { ...good, refundKey: "c" },
    ];
    const { results } = await one.rpc.batchRefund({ items }, one.options());
    assert.deepEqual(
      results.map(({ failure }) => failure && fromStatus(failure).reason),
      [
        undefined,
        "ID_INVALID",
        "AMOUNT_INVALID",
        "AMOUNT_INVALID",
        "REFUND_KEY_INVALID",
        "AMOUNT_INVALID",
        undefined,
      ],
    );
    assert.deepEqual(await untilRefundKnown(() => one.refund(8, "c", 1)), REFUNDED);
    await assert.rejects(
      one.rpc.batchRefund({ items: Array.from({ length: 1_001 }, () => good) }, one.options()),
      (error) => isFailure(error, "TOO_MANY_ITEMS"),
    );
  });

  it("settle a batch of as many refunds as fit in one call", async () => {
    const items = Array.from({ length: 1_000 }, (_, index) => ({
      orderId: 10_000 + index,
      refundKey: "a",
      amount: amount(500),
    }));
    const charges = items.map(({ orderId }) => ({
      orderId,
      amount: amount(1_000),
      paymentMethod: "",
    }));
    const pending = async () => {
      const { results } = await two.rpc.batchCharge({ items: charges }, two.options());
      return results.some(({ payment }) => payment?.state !== CHARGED.state);
    };
    while (await pending());
    await until(async () => {
      const { results } = await two.rpc.batchRefund({ items }, two.options());
      return results.every(({ refund }) => refund?.state === RefundState.REFUNDED);
    });
  });
});

describe("payment", () => {
  let database: PaymentDatabase;
  const started: RunningPayment[] = [];
  before(async () => {
    database = await openDatabase();
  });
  after(async () => {
    // Those of a test that failed.
    for (const instance of started) await kill(instance);
    assert.deepEqual(await database.unbalanced(), []);
    await database.drop();
  });

  async function kill(instance: RunningPayment): Promise<void> {
    instance.kill();
    await instance.stop();
  }
  async function start(env: Record<string, string>): Promise<RunningPayment> {
    const instance = await startPayment(database.url, { ...QUIET, ...env });
    started.push(instance);
    return instance;
  }

  it("finishes a refund in the midst of which it was killed, once", async () => {
    const quick = { PAYMENT_SANDBOX_SLOW_MS: "1", PAYMENT_PROVIDER_TIMEOUT_MS: "200" };
    const charger = await start(quick);
    await untilKnown(() => charger.charge(1, { paymentMethod: "slow" }));
    await charger.stop();

    const killed = await start({ ...quick, PAYMENT_SANDBOX_SLOW_MS: FOREVER });
    assert.deepEqual(await killed.refund(1, "a", 500), REFUND_PENDING);
    await kill(killed);
    assert.equal((await database.refunds(1))[0]?.state, "REFUNDING");
    assert.deepEqual(await database.ledgerRefunds(1), []);

    const next = await start(quick);
    await until(async () => (await database.refunds(1))[0]?.state === "REFUNDED");
    assert.equal((await database.ledgerRefunds(1)).length, 1);
    assert.deepEqual(await next.refund(1, "a", 500), REFUNDED);
    await next.stop();
  });

  it("finds the refund when it is killed before the provider's verdict is recorded", async () => {
    const killed = await start({});
    const lost = { paymentMethod: "refund-answer-lost" };
    await untilKnown(() => killed.charge(2, lost));
    const asked = killed.refund(2, "a", 500).catch(() => undefined);
    await until(async () => (await database.ledgerRefunds(2)).length === 1);
    await kill(killed);
    await asked;

    const next = await start({});
    assert.deepEqual(await untilRefundKnown(() => next.refund(2, "a", 500)), REFUNDED);
    assert.equal((await database.ledgerRefunds(2)).length, 1);
    await next.stop();
  });

  it("reconciles when it is asked to", async () => {
    const instance = await start({});
    const charged = await instance.reconcile();
    assert.deepEqual({ ...charged, compared: 0 }, { compared: 0, repaired: 0, differences: [] });
    await untilKnown(() => instance.charge(3));
    await untilKnown(() => instance.charge(4));
    await database.execute("update payments set state = 'CHARGING' where order_id = 3");
    await database.execute("delete from sandbox.ledger where key = 'order-4'");
    const { compared, repaired, differences } = await instance.reconcile();
    assert.equal(compared, charged.compared + 3);
    assert.equal(repaired, 1);
    const [ours, theirs] = ["CHARGED 1999 EUR", "nothing"];
    assert.deepEqual(differences, [{ orderId: 4, kind: "MISSING_AT_PROVIDER", ours, theirs }]);
    assert.equal((await database.payment(3))?.state, "CHARGED");
    await database.execute("delete from payments where order_id = 4");
    await instance.stop();
  });

  it("reconciles by itself, and shows what differs in its log and metrics", async () => {
    const instance = await start({
      PAYMENT_RECONCILE_SECONDS: "1",
      PAYMENT_RECONCILE_AGE_SECONDS: "0",
    });
    await untilKnown(() => instance.charge(5));
    await database.execute("delete from sandbox.ledger where key = 'order-5'");
    const line = /"level":"error".*"orderId":5.*"MISSING_AT_PROVIDER".*the books differ/;
    await until(() => line.test(instance.output()));
    const metric = /^piata_reconciliation_differences\{[^}]*\} 1$/m;
    await until(async () =>
      metric.test(await (await fetch(`http://${instance.httpAddress}/metrics`)).text()),
    );
    assert.equal(await instance.stop(), 0);
  });
});
