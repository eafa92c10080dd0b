import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { metrics, openDatabase, type PaymentDatabase } from "./fixture.js";
import { Sandbox } from "./sandbox.js";

const CHARGED = { state: "CHARGED", declineReason: "" };
const VOID = { state: "VOID", declineReason: "" };
const REFUNDED = { state: "REFUNDED", refusalReason: "" };
const refused = (refusalReason: string) => ({ state: "REFUSED", refusalReason });
const declined = (declineReason: string) => ({ state: "DECLINED", declineReason });

describe("the sandbox", () => {
  let database: PaymentDatabase;
  let sandbox: Sandbox;
  let other: Sandbox;

  before(async () => {
    database = await openDatabase();
    sandbox = new Sandbox(database.db, { metrics, slowMs: 100 });
    other = new Sandbox(database.connect(), { metrics, slowMs: 100 });
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

  const refund = (orderId: number, refundKey: string, amountMinor: number, by = sandbox) =>
    by.refund({ key: `order-${orderId}`, refundKey, amountMinor, currencyCode: "EUR" });

  it("gives back once per refund key, and answers as it did first", async () => {
    await charge(20, "success");
    assert.equal(await sandbox.findRefund("order-20", "a"), undefined);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => refund(20, "a", 300, index % 2 ? sandbox : other)),
    );
    for (const answer of answers) assert.deepEqual(answer, REFUNDED);
    assert.deepEqual(await sandbox.findRefund("order-20", "a"), REFUNDED);
    assert.equal((await database.ledgerRefunds(20)).length, 1);
  });

  it("never gives back more than it took", async () => {
    await charge(21, "success");
    const keys = Array.from({ length: 20 }, (_, index) => `r${index}`);
    const answers = await Promise.all(
      keys.map((key, index) => refund(21, key, 200, index % 2 ? sandbox : other)),
    );
    assert.equal(answers.filter(({ state }) => state === "REFUNDED").length, 2);
    for (const { state, refusalReason } of answers) {
      if (state === "REFUSED") assert.equal(refusalReason, "REFUND_EXCEEDS_CHARGE");
    }
    assert.deepEqual(await database.unbalanced(), []);
    await assert.rejects(
      database.execute("update sandbox.ledger set refunded_minor = 501 where key = 'order-21'"),
    );
  });

  it("refuses refunds of what it did not charge, or not in that currency", async () => {
    assert.deepEqual(await refund(22, "a", 1), refused("CHARGE_UNKNOWN"));
    await charge(23, "declined");
    assert.deepEqual(await refund(23, "a", 1), refused("CHARGE_UNKNOWN"));
    await charge(24, "success");
    const dollars = { key: "order-24", refundKey: "a", amountMinor: 1, currencyCode: "USD" };
    assert.deepEqual(await sandbox.refund(dollars), refused("CURRENCY_WRONG"));
  });

  it("refuses every refund of refund-refused", async () => {
    await charge(25, "refund-refused");
    assert.deepEqual(await refund(25, "a", 1), refused("REFUND_NOT_POSSIBLE"));
    assert.deepEqual(await refund(25, "b", 1), refused("REFUND_NOT_POSSIBLE"));
  });

  it("loses the first answer of each refund of refund-answer-lost", async () => {
    await charge(26, "refund-answer-lost");
    for (const key of ["a", "b"]) {
      await assert.rejects(refund(26, key, 100), /lost the answer/);
      assert.deepEqual(await sandbox.findRefund("order-26", key), REFUNDED);
      assert.deepEqual(await refund(26, key, 100), REFUNDED);
    }
    assert.equal((await database.ledgerRefunds(26)).length, 2);
  });

  it("lists its book page by page, every key once, with its refunds", async () => {
    const listed = [];
    for (let after: string | undefined = ""; after !== undefined; ) {
      const page = await sandbox.list({ after, limit: 7 });
      listed.push(...page.entries);
      after = page.next;
    }
    assert.equal(new Set(listed.map(({ key }) => key)).size, listed.length);
    const entry = listed.find(({ key }) => key === "order-20");
    assert.deepEqual(entry && { ...entry, changedAt: undefined }, {
      key: "order-20",
      ...CHARGED,
      amountMinor: 500,
      currencyCode: "EUR",
      refunds: [{ refundKey: "a", amountMinor: 300, ...REFUNDED }],
      changedAt: undefined,
    });
    assert.deepEqual(await sandbox.findEntry("order-20"), entry);
    assert.equal(await sandbox.findEntry("order-404"), undefined);
  });
});
