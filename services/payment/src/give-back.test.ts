import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openLog } from "@piata/kit/log";
import { until } from "@piata/testkit/until";
import { metrics, openDatabase, type PaymentDatabase, scripted } from "./fixture.js";
import { Refunds, type RefundsOptions } from "./give-back.js";
import type { Provider } from "./provider.js";
import type { RefundVerdict } from "./refund.js";
import { RefundStore } from "./refund-store.js";

const REFUNDED: RefundVerdict = { state: "REFUNDED", refusalReason: "" };
const REFUSED: RefundVerdict = { state: "REFUSED", refusalReason: "CARD_GONE" };
const TRACE_ID = "0".repeat(32);

const terms = (orderId: number) => ({
  orderId,
  refundKey: "a",
  amountMinor: 400,
  currencyCode: "EUR",
});

describe("refunds", () => {
  let database: PaymentDatabase;
  const opened: Refunds[] = [];

  before(async () => {
    database = await openDatabase();
  });
  after(async () => {
    await Promise.all(opened.map((refunds) => refunds.stop()));
    assert.deepEqual(await database.unbalanced(), []);
    await database.drop();
  });

  const open = (provider: Provider, options: Partial<RefundsOptions> = {}, leaseMs = 60_000) => {
    const refunds = new Refunds({
      store: new RefundStore(database.db, { metrics, leaseMs }),
      provider,
      log: openLog("payment-test", "silent"),
      answerWithinMs: 30_000,
      providerTimeoutMs: 30_000,
      attemptsMax: 10,
      ...options,
    });
    opened.push(refunds);
    return refunds;
  };
  const stateOf = async (answer: Promise<{ state: string }>) => (await answer).state;
  const recorded = async (orderId: number) => (await database.refunds(orderId))[0]?.state;

  it("hand the provider the charge's key and their own", async () => {
    await database.charged(1);
    const requests: unknown[] = [];
    const { provider, calls } = scripted({
      refund: async (request) => {
        requests.push(request);
        return REFUNDED;
      },
    });
    const shop = open(provider);
    const asked = Array.from({ length: 50 }, () => shop.refund(terms(1), TRACE_ID));
    for (const { state } of await Promise.all(asked)) assert.equal(state, "REFUNDED");
    assert.deepEqual(requests, [
      { key: "order-1", refundKey: "a", amountMinor: 400, currencyCode: "EUR" },
    ]);
    assert.deepEqual(calls, ["refund"]);
    await shop.stop();
  });

  it("say why the provider refused, and give the amount back", async () => {
    await database.charged(2);
    const { provider } = scripted({ refund: async () => REFUSED });
    const shop = open(provider);
    const { state, refusalReason } = await shop.refund(terms(2), TRACE_ID);
    assert.deepEqual({ state, refusalReason }, REFUSED);
    assert.deepEqual(await database.unbalanced(), []);
    await shop.stop();
  });

  it("are finished by the worker when nobody asks again, who asks the provider first", async () => {
    await database.charged(3);
    let lost = 2;
    const { provider, calls } = scripted({
      refund: async () => (lost-- > 0 ? Promise.reject(new Error("lost")) : REFUNDED),
      findRefund: async () => undefined,
    });
    const shop = open(provider);
    assert.equal(await stateOf(shop.refund(terms(3), TRACE_ID)), "REFUNDING");
    await until(async () => (await recorded(3)) === "REFUNDED");
    assert.deepEqual(calls, ["refund", "findRefund", "refund", "findRefund", "refund"]);
    await shop.stop();
  });

  it("are not asked for again when the provider has them", async () => {
    await database.charged(4);
    const { provider, calls } = scripted({
      refund: () => Promise.reject(new Error("lost")),
      findRefund: async () => REFUNDED,
    });
    const shop = open(provider);
    assert.equal(await stateOf(shop.refund(terms(4), TRACE_ID)), "REFUNDING");
    assert.equal(await stateOf(shop.refund(terms(4), TRACE_ID)), "REFUNDED");
    assert.deepEqual(calls, ["refund", "findRefund"]);
    await shop.stop();
  });

  it("answer before the provider does, and record its answer all the same", async () => {
    await database.charged(5);
    const verdict = Promise.withResolvers<RefundVerdict>();
    const { provider, calls } = scripted({ refund: () => verdict.promise });
    const shop = open(provider, { answerWithinMs: 1 });
    assert.equal(await stateOf(shop.refund(terms(5), TRACE_ID)), "REFUNDING");
    assert.equal(await stateOf(shop.refund(terms(5), TRACE_ID)), "REFUNDING");
    verdict.resolve(REFUNDED);
    await shop.stop();
    assert.equal(await recorded(5), "REFUNDED");
    assert.deepEqual(calls, ["refund"]);
  });

  it("of a dead instance are taken up by another when the lease runs out", async () => {
    await database.charged(6);
    await new RefundStore(database.db, { metrics, leaseMs: 300 }).record(terms(6));
    const { provider, calls } = scripted({ findRefund: async () => REFUNDED });
    const alive = open(provider);
    await until(async () => (await recorded(6)) === "REFUNDED");
    assert.deepEqual(calls, ["findRefund"]);
    await alive.stop();
  });

  it("begin no more than allowed; the rest is left to the worker", async () => {
    await database.charged(7);
    await database.charged(8);
    const verdict = Promise.withResolvers<RefundVerdict>();
    const { provider } = scripted({
      refund: () => verdict.promise,
      findRefund: async () => undefined,
    });
    const shop = open(provider, { attemptsMax: 1, answerWithinMs: 1 }, 100);
    assert.equal(await stateOf(shop.refund(terms(7), TRACE_ID)), "REFUNDING");
    assert.equal(await stateOf(shop.refund(terms(8), TRACE_ID)), "REFUNDING");
    verdict.resolve(REFUNDED);
    await until(async () => (await recorded(8)) === "REFUNDED");
    await shop.stop();
  });
});
