import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openDatabase, type PaymentDatabase } from "./fixture.js";
import { Sandbox } from "./sandbox.js";

const CHARGED = { state: "CHARGED", declineReason: "" };
const VOID = { state: "VOID", declineReason: "" };
const declined = (declineReason: string) => ({ state: "DECLINED", declineReason });

describe("the sandbox", () => {
  let database: PaymentDatabase;
  let sandbox: Sandbox;
  let other: Sandbox;

  before(async () => {
    database = await openDatabase();
    sandbox = new Sandbox(database.db, { slowMs: 100 });
    other = new Sandbox(database.connect(), { slowMs: 100 });
  });
  after(() => database.drop());

  const charge = (orderId: number, method: string, by = sandbox) =>
    by.charge({ key: `order-${orderId}`, amountMinor: 500, currencyCode: "EUR", method });

  const verdicts = [
    ["", CHARGED],
    ["success", CHARGED],
    ["slow", CHARGED],
    ["declined", declined("CARD_DECLINED")],
    ["magic", declined("PAYMENT_METHOD_UNKNOWN")],
    ["constructor", declined("PAYMENT_METHOD_UNKNOWN")],
  ] as const;
  verdicts.forEach(([method, verdict], index) => {
    it(`answers ${verdict.state} to "${method}" and remembers it`, async () => {
      assert.deepEqual(await charge(index + 1, method), verdict);
      assert.deepEqual(await sandbox.find(`order-${index + 1}`), verdict);
      assert.deepEqual(await database.ledger(index + 1), [verdict]);
    });
  });

  it("answers a repeated key as it did first, whatever the method is then", async () => {
    assert.deepEqual(await charge(10, "declined"), declined("CARD_DECLINED"));
    assert.deepEqual(await charge(10, "success"), declined("CARD_DECLINED"));
  });

  it("has nothing to tell of a key that it never saw", async () => {
    assert.equal(await sandbox.find("order-11"), undefined);
  });

  it("loses the first answer of answer-lost, and tells the truth when it is asked", async () => {
    await assert.rejects(charge(12, "answer-lost"), /lost the answer/);
    assert.deepEqual(await sandbox.find("order-12"), CHARGED);
    assert.deepEqual(await charge(12, "answer-lost"), CHARGED);
    assert.equal((await database.ledger(12)).length, 1);
  });

  it("loses the first call of answer-lost-before, for all its instances", async () => {
    await assert.rejects(charge(13, "answer-lost-before"), /lost the call/);
    assert.equal(await sandbox.find("order-13"), undefined);
    assert.deepEqual(await charge(13, "answer-lost-before", other), CHARGED);
  });

  it("takes no money for a cancelled key", async () => {
    assert.deepEqual(await sandbox.cancel("order-14"), VOID);
    assert.deepEqual(await sandbox.cancel("order-14"), VOID);
    assert.deepEqual(await charge(14, "success"), VOID);
    assert.deepEqual(await charge(14, "answer-lost"), VOID);
  });

  it("cannot cancel what is decided", async () => {
    await charge(15, "success");
    assert.deepEqual(await sandbox.cancel("order-15"), CHARGED);
    await charge(16, "declined");
    assert.deepEqual(await sandbox.cancel("order-16"), declined("CARD_DECLINED"));
  });

  it("charges at the end of a slow charge, so that a cancellation meanwhile wins", async () => {
    const charged = charge(17, "slow");
    assert.deepEqual(await sandbox.cancel("order-17"), VOID);
    assert.deepEqual(await charged, VOID);
    assert.deepEqual(await database.ledger(17), [VOID]);
  });

  it("decides each key once when two instances charge and cancel it at once", async () => {
    const orderIds = Array.from({ length: 300 }, (_, index) => 1_000 + index);
    const [charged, cancelled] = await Promise.all([
      Promise.all(orderIds.map((orderId) => charge(orderId, "success"))),
      Promise.all(orderIds.toReversed().map((orderId) => other.cancel(`order-${orderId}`))),
    ]);
    assert.deepEqual(charged, cancelled.reverse());
  });
});
