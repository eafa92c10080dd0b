import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import {
  CHARGED,
  item,
  openDatabase,
  type PaymentDatabase,
  PENDING,
  type RunningPayment,
  startPayment,
  untilKnown,
  VOID,
} from "./fixture.js";

// Longer than any test runs: what is charged slowly with it is cut off.
const FOREVER = "600000";
/** sysexits.h: the configuration is wrong. */
const EX_CONFIG = 78;
const slow = { paymentMethod: "slow" };

describe("two instances of payment", () => {
  let database: PaymentDatabase;
  let instances: [RunningPayment, RunningPayment];

  before(async () => {
    database = await openDatabase();
    const start = () => startPayment(database.url, { PAYMENT_SANDBOX_SLOW_MS: "2500" });
    instances = await Promise.all([start(), start()]);
  });
  after(async () => {
    for (const instance of instances) await instance.stop();
    await database.drop();
  });

  it("charge an order once that is charged a hundred times in parallel", async () => {
    const charges = Array.from({ length: 50 }, () =>
      instances.map((instance) => untilKnown(() => instance.charge(1))),
    ).flat();
    for (const payment of await Promise.all(charges)) assert.deepEqual(payment, CHARGED);
    assert.deepEqual(await database.ledger(1), [{ state: "CHARGED", declineReason: "" }]);
  });

  it("charge each of the same batch once, in whatever order it comes", async () => {
    const items = Array.from({ length: 200 }, (_, index) => item(1_000 + index));
    const batches = await Promise.all([
      instances[0].rpc.batchCharge({ items }, instances[0].options()),
      instances[1].rpc.batchCharge({ items: items.toReversed() }, instances[1].options()),
    ]);
    for (const { results } of batches) {
      for (const { failure } of results) assert.equal(failure, undefined);
    }
    for (const { orderId } of items) {
      assert.deepEqual(await untilKnown(() => instances[0].charge(orderId)), CHARGED);
      assert.equal((await database.ledger(orderId)).length, 1);
    }
  });

  it("agree on an order that one charges while the other voids it", async () => {
    const orderIds = Array.from({ length: 50 }, (_, index) => 2_000 + index);
    for (const verdicts of await Promise.all(
      orderIds.map((orderId) =>
        Promise.all([
          untilKnown(() => instances[0].charge(orderId)),
          untilKnown(() => instances[1].void(orderId)),
        ]),
      ),
    )) {
      assert.deepEqual(verdicts[0], verdicts[1]);
    }
  });

  for (const [which, voiding] of [
    ["the same", 0],
    ["the other", 1],
  ] as const) {
    it(`take no money for a slow charge that ${which} instance voids meanwhile`, async () => {
      const orderId = 3 + voiding;
      assert.deepEqual(await instances[0].charge(orderId, slow), PENDING);
      assert.deepEqual(await untilKnown(() => instances[voiding].void(orderId)), VOID);
      assert.deepEqual(await instances[0].charge(orderId, slow), VOID);
      assert.deepEqual(await instances[1].charge(orderId, slow), VOID);
      assert.deepEqual(await database.ledger(orderId), [{ state: "VOID", declineReason: "" }]);
    });
  }

  it("have heard no contradiction when all their attempts have ended", async () => {
    for (const instance of instances) {
      assert.equal(await instance.stop(), 0);
      assert.doesNotMatch(instance.output(), /contradicts/);
      assert.doesNotMatch(instance.output(), /"level":"error"/);
    }
    assert.deepEqual(await database.ledger(3), [{ state: "VOID", declineReason: "" }]);
  });
});

describe("payment", () => {
  let database: PaymentDatabase;
  before(async () => {
    database = await openDatabase();
  });
  after(() => database.drop());

  it("charges once when it is killed during a charge and started again", async () => {
    const killed = await startPayment(database.url, { PAYMENT_SANDBOX_SLOW_MS: FOREVER });
    assert.deepEqual(await killed.charge(1, slow), PENDING);
    killed.kill();
    await killed.stop();
    assert.deepEqual(await database.ledger(1), []);

    const started = await startPayment(database.url, { PAYMENT_SANDBOX_SLOW_MS: "300" });
    assert.deepEqual(await untilKnown(() => started.charge(1, slow)), CHARGED);
    assert.deepEqual(await database.ledger(1), [{ state: "CHARGED", declineReason: "" }]);
    await started.stop();
  });

  it("finds the charge when it is killed before the provider's verdict is recorded", async () => {
    const killed = await startPayment(database.url, { PAYMENT_ANSWER_WITHIN_MS: "10000" });
    assert.deepEqual(await killed.charge(2, { paymentMethod: "answer-lost" }), PENDING);
    killed.kill();
    await killed.stop();
    assert.equal((await database.payment(2))?.state, "CHARGING");

    const started = await startPayment(database.url);
    const charge = () => started.charge(2, { paymentMethod: "answer-lost" });
    assert.deepEqual(await untilKnown(charge), CHARGED);
    assert.equal((await database.ledger(2)).length, 1);
    await started.stop();
  });

  it("voids a charge that died with its instance", async () => {
    const killed = await startPayment(database.url, { PAYMENT_SANDBOX_SLOW_MS: FOREVER });
    assert.deepEqual(await killed.charge(3, slow), PENDING);
    killed.kill();
    await killed.stop();

    const started = await startPayment(database.url);
    assert.deepEqual(await untilKnown(() => started.void(3)), VOID);
    assert.deepEqual(await started.charge(3, slow), VOID);
    assert.deepEqual(await database.ledger(3), [{ state: "VOID", declineReason: "" }]);
    await started.stop();
  });

  it("finishes the charges in flight before it stops", async () => {
    const instance = await startPayment(database.url, { PAYMENT_SANDBOX_SLOW_MS: "1500" });
    assert.deepEqual(await instance.charge(4, slow), PENDING);
    assert.equal(await instance.stop(), 0);
    assert.equal((await database.payment(4))?.state, "CHARGED");
  });

  it("stops without a charge that takes longer than a call to the provider may", async () => {
    const instance = await startPayment(database.url, {
      PAYMENT_SANDBOX_SLOW_MS: FOREVER,
      PAYMENT_PROVIDER_TIMEOUT_MS: "500",
    });
    assert.deepEqual(await instance.charge(5, slow), PENDING);
    assert.equal(await instance.stop(), 0);
    assert.equal((await database.payment(5))?.state, "CHARGING");
  });

  it("charges once when the provider answers only after it was given up", async () => {
    const instance = await startPayment(database.url, {
      PAYMENT_SANDBOX_SLOW_MS: "1000",
      PAYMENT_PROVIDER_TIMEOUT_MS: "300",
    });
    assert.deepEqual(await instance.charge(6, slow), PENDING);
    assert.deepEqual(await untilKnown(() => instance.charge(6, slow)), CHARGED);
    assert.equal((await database.ledger(6)).length, 1);
    assert.match(instance.output(), /the outcome of an attempt is unknown/);
    await instance.stop();
  });

  it("does not start without a provider, and says what to set", async () => {
    const { code, said } = await refused({ PAYMENT_DATABASE_URL: database.url });
    assert.equal(code, EX_CONFIG);
    assert.match(said, /PAYMENT_PROVIDER is missing.*sandbox takes none/);
  });

  it("does not start with a provider that it does not know", async () => {
    const env = { PAYMENT_DATABASE_URL: database.url, PAYMENT_PROVIDER: "bank" };
    const { code, said } = await refused(env);
    assert.equal(code, EX_CONFIG);
    assert.match(said, /PAYMENT_PROVIDER: must be one of sandbox/);
  });
});

/** How the program ends that is started with settings it refuses. */
async function refused(env: Record<string, string>): Promise<{ code: number; said: string }> {
  const main = fileURLToPath(new URL("./main.js", import.meta.url));
  const child = spawn(process.execPath, [main], { env, stdio: ["ignore", "ignore", "pipe"] });
  const [said, [code]] = await Promise.all([text(child.stderr), once(child, "exit")]);
  return { code, said };
}
