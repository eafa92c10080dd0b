import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { isFailure } from "@piata/kit/errors";
import { openLog } from "@piata/kit/log";
import { Payments, type PaymentsOptions } from "./charge.js";
import { metrics, openDatabase, type PaymentDatabase, scripted } from "./fixture.js";
import type { Verdict } from "./payment.js";
import type { Provider } from "./provider.js";
import { PaymentStore } from "./store.js";

const CHARGED: Verdict = { state: "CHARGED", declineReason: "" };
const VOID: Verdict = { state: "VOID", declineReason: "" };
const never = new Promise<never>(() => undefined);
const TRACE_ID = "0".repeat(32);

const terms = (orderId: number) => ({
  orderId,
  amountMinor: 1_999,
  currencyCode: "EUR",
  paymentMethod: "card-1",
});

describe("payments", () => {
  let database: PaymentDatabase;
  let store: PaymentStore;

  before(async () => {
    database = await openDatabase();
    store = new PaymentStore(database.db, metrics);
  });
  after(() => database.drop());

  const payments = (provider: Provider, options: Partial<PaymentsOptions> = {}) =>
    new Payments({
      store,
      provider,
      log: openLog("payment-test", "silent"),
      answerWithinMs: 30_000,
      providerTimeoutMs: 30_000,
      attemptsMax: 10,
      ...options,
    });
  const stateOf = async (answer: Promise<{ state: string }>) => (await answer).state;

  it("hand the provider the terms and a key that is the order's", async () => {
    const requests: unknown[] = [];
    const { provider } = scripted({
      charge: async (request) => {
        requests.push(request);
        return CHARGED;
      },
    });
    assert.equal(await stateOf(payments(provider).charge(terms(1), TRACE_ID)), "CHARGED");
    assert.deepEqual(requests, [
      { key: "order-1", amountMinor: 1_999, currencyCode: "EUR", method: "card-1" },
    ]);
  });

  it("share one attempt among parallel charges, and ask nobody about what has ended", async () => {
    const { provider, calls } = scripted({ charge: async () => CHARGED });
    const shop = payments(provider);
    const charges = Array.from({ length: 100 }, () => shop.charge(terms(2), TRACE_ID));
    for (const { state } of await Promise.all(charges)) assert.equal(state, "CHARGED");
    assert.equal(await stateOf(shop.charge(terms(2), TRACE_ID)), "CHARGED");
    assert.equal(await stateOf(shop.void(2, TRACE_ID)), "CHARGED");
    assert.deepEqual(calls, ["charge"]);
  });

  it("ask before they charge again, and record what they find", async () => {
    const { provider, calls } = scripted({
      charge: () => Promise.reject(new Error("lost")),
      find: async () => CHARGED,
    });
    const shop = payments(provider);
    assert.equal(await stateOf(shop.charge(terms(3), TRACE_ID)), "CHARGING");
    assert.equal(await stateOf(shop.charge(terms(3), TRACE_ID)), "CHARGED");
    assert.deepEqual(calls, ["charge", "find"]);
  });

  it("charge again when the provider knows nothing, and only then", async () => {
    let lost = 2;
    const { provider, calls } = scripted({
      charge: async () => (lost-- > 0 ? Promise.reject(new Error("lost")) : CHARGED),
      find: async () => undefined,
    });
    const shop = payments(provider);
    const states = [];
    for (let asked = 0; asked < 3; asked += 1) {
      states.push(await stateOf(shop.charge(terms(4), TRACE_ID)));
    }
    assert.deepEqual(states, ["CHARGING", "CHARGING", "CHARGED"]);
    assert.deepEqual(calls, ["charge", "find", "charge", "find", "charge"]);
  });

  it("never charge while asking what is true fails", async () => {
    const { provider, calls } = scripted({
      charge: () => Promise.reject(new Error("lost")),
      find: () => Promise.reject(new Error("away")),
    });
    const shop = payments(provider);
    for (let asked = 0; asked < 3; asked += 1) {
      assert.equal(await stateOf(shop.charge(terms(5), TRACE_ID)), "CHARGING");
    }
    assert.deepEqual(calls, ["charge", "find", "find"]);
  });

  it("answer before the provider does, and record its answer all the same", async () => {
    const verdict = Promise.withResolvers<Verdict>();
    const { provider, calls } = scripted({ charge: () => verdict.promise });
    const shop = payments(provider, { answerWithinMs: 1 });
    assert.equal(await stateOf(shop.charge(terms(6), TRACE_ID)), "CHARGING");
    assert.equal(await stateOf(shop.charge(terms(6), TRACE_ID)), "CHARGING");
    verdict.resolve(CHARGED);
    await shop.stop();
    assert.equal((await database.payment(6))?.state, "CHARGED");
    assert.deepEqual(calls, ["charge"]);
  });

  it("give a call up that takes too long, and ask what came of it", async () => {
    const { provider, calls } = scripted({ charge: () => never, find: async () => CHARGED });
    const shop = payments(provider, { providerTimeoutMs: 1 });
    assert.equal(await stateOf(shop.charge(terms(7), TRACE_ID)), "CHARGING");
    assert.equal(await stateOf(shop.charge(terms(7), TRACE_ID)), "CHARGED");
    assert.deepEqual(calls, ["charge", "find"]);
  });

  it("refuse other terms, in flight and afterwards", async () => {
    const verdict = Promise.withResolvers<Verdict>();
    const { provider } = scripted({ charge: () => verdict.promise });
    const shop = payments(provider);
    const first = shop.charge(terms(8), TRACE_ID);
    const others = [{ amountMinor: 1 }, { currencyCode: "USD" }, { paymentMethod: "card-2" }];
    const refuse = async () => {
      for (const other of others) {
        const again = shop.charge({ ...terms(8), ...other }, TRACE_ID);
        await assert.rejects(again, (error) => isFailure(error, "PAYMENT_MISMATCH"));
      }
    };
    await refuse();
    verdict.resolve(CHARGED);
    assert.equal(await stateOf(first), "CHARGED");
    await refuse();
  });

  it("begin no more attempts than allowed, and the rest when asked again", async () => {
    const verdict = Promise.withResolvers<Verdict>();
    const { provider, calls } = scripted({
      charge: () => verdict.promise,
      find: async () => undefined,
    });
    const shop = payments(provider, { attemptsMax: 1 });
    const first = shop.charge(terms(9), TRACE_ID);
    assert.equal(await stateOf(shop.charge(terms(10), TRACE_ID)), "CHARGING");
    assert.deepEqual(calls, ["charge"]);
    verdict.resolve(CHARGED);
    await first;
    assert.equal(await stateOf(shop.charge(terms(10), TRACE_ID)), "CHARGED");
    assert.deepEqual(calls, ["charge", "find", "charge"]);
  });

  it("cancel a charge that is in flight even while no more charges may begin", async () => {
    const verdict = Promise.withResolvers<Verdict>();
    const { provider } = scripted({ charge: () => verdict.promise, cancel: async () => VOID });
    const shop = payments(provider, { attemptsMax: 1 });
    const charged = shop.charge(terms(11), TRACE_ID);
    assert.equal(await stateOf(shop.void(11, TRACE_ID)), "VOID");
    verdict.resolve(VOID);
    assert.equal(await stateOf(charged), "VOID");
  });

  it("void nothing while the cancellation's outcome is unknown", async () => {
    let lost = 1;
    const { provider } = scripted({
      charge: () => Promise.reject(new Error("lost")),
      cancel: async () => (lost-- > 0 ? Promise.reject(new Error("lost")) : CHARGED),
    });
    const shop = payments(provider);
    await shop.charge(terms(12), TRACE_ID);
    assert.equal(await stateOf(shop.void(12, TRACE_ID)), "CHARGING");
    assert.equal(await stateOf(shop.void(12, TRACE_ID)), "CHARGED");
  });

  it("never ask the provider about an order that was voided before it was charged", async () => {
    const { provider, calls } = scripted({});
    const shop = payments(provider);
    assert.equal(await stateOf(shop.void(13, TRACE_ID)), "VOID");
    assert.equal(await stateOf(shop.charge(terms(13), TRACE_ID)), "VOID");
    assert.deepEqual(calls, []);
  });

  it("stop without an attempt that never ends", async () => {
    const { provider } = scripted({ charge: () => never });
    const shop = payments(provider, { answerWithinMs: 1, providerTimeoutMs: 50 });
    assert.equal(await stateOf(shop.charge(terms(14), TRACE_ID)), "CHARGING");
    await shop.stop();
    assert.equal((await database.payment(14))?.state, "CHARGING");
  });
});
