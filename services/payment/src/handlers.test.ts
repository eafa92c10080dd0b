import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { fromStatus, isFailure } from "@piata/kit/errors";
import {
  CHARGED,
  declined,
  item,
  openDatabase,
  type PaymentDatabase,
  PENDING,
  type RunningPayment,
  startPayment,
  untilKnown,
  VOID,
} from "./fixture.js";

describe("the payment service", () => {
  let database: PaymentDatabase;
  let payment: RunningPayment;
  // Answers only when an attempt has ended, so that a test knows what has happened by then.
  let patient: RunningPayment;

  before(async () => {
    database = await openDatabase();
    [payment, patient] = await Promise.all([
      startPayment(database.url, { PAYMENT_SANDBOX_SLOW_MS: "1000" }),
      startPayment(database.url, { PAYMENT_ANSWER_WITHIN_MS: "10000" }),
    ]);
  });
  after(async () => {
    assert.deepEqual(await Promise.all([payment.stop(), patient.stop()]), [0, 0]);
    await database.drop();
  });

  it("charges an order and says so again", async () => {
    assert.deepEqual(await untilKnown(() => payment.charge(1)), CHARGED);
    assert.deepEqual(await payment.charge(1), CHARGED);
    assert.deepEqual(await database.ledger(1), [{ state: "CHARGED", declineReason: "" }]);
  });

  it("says why a payment was declined, and stays with it", async () => {
    const charge = () => payment.charge(2, { paymentMethod: "declined" });
    assert.deepEqual(await untilKnown(charge), declined("CARD_DECLINED"));
    assert.deepEqual(await charge(), declined("CARD_DECLINED"));
    assert.deepEqual(await payment.void(2), declined("CARD_DECLINED"));
  });

  it("declines a payment method that the provider does not know", async () => {
    const charge = () => payment.charge(3, { paymentMethod: "shells" });
    assert.deepEqual(await untilKnown(charge), declined("PAYMENT_METHOD_UNKNOWN"));
  });

  it("charges a free order", async () => {
    const amount = { amountMinor: 0, currencyCode: "EUR" };
    assert.deepEqual(await untilKnown(() => payment.charge(4, { amount })), CHARGED);
  });

  it("answers a slow charge before it ends, and tells its end when asked again", async () => {
    const charge = () => payment.charge(5, { paymentMethod: "slow" });
    assert.deepEqual(await charge(), PENDING);
    assert.deepEqual(await untilKnown(charge), CHARGED);
    assert.equal((await database.ledger(5)).length, 1);
  });

  it("does not let a slow charge hold the others of its batch", async () => {
    const items = [item(6, { paymentMethod: "slow" }), item(7)];
    const { results } = await payment.rpc.batchCharge({ items }, payment.options());
    assert.deepEqual(results[0]?.payment, PENDING);
    assert.deepEqual(await untilKnown(() => payment.charge(7)), CHARGED);
  });

  it("finds out about a lost answer by asking", async () => {
    const charge = () => patient.charge(8, { paymentMethod: "answer-lost" });
    assert.deepEqual(await charge(), PENDING);
    assert.deepEqual(await database.ledger(8), [{ state: "CHARGED", declineReason: "" }]);
    assert.deepEqual(await charge(), CHARGED);
    assert.equal((await database.ledger(8)).length, 1);
  });

  it("charges again with the same key when the call was lost", async () => {
    const charge = () => patient.charge(9, { paymentMethod: "answer-lost-before" });
    assert.deepEqual(await charge(), PENDING);
    assert.deepEqual(await database.ledger(9), []);
    assert.deepEqual(await charge(), CHARGED);
    assert.equal((await database.ledger(9)).length, 1);
  });

  it("voids an order that was never charged, so that a late charge changes nothing", async () => {
    assert.deepEqual(await payment.void(10), VOID);
    assert.deepEqual(await payment.void(10), VOID);
    assert.deepEqual(await payment.charge(10), VOID);
    assert.deepEqual(await database.ledger(10), []);
  });

  it("does not void what is charged", async () => {
    await untilKnown(() => payment.charge(11));
    assert.deepEqual(await payment.void(11), CHARGED);
    assert.deepEqual(await payment.charge(11), CHARGED);
  });

  it("tells after a void that a lost answer was a charge", async () => {
    assert.deepEqual(await patient.charge(12, { paymentMethod: "answer-lost" }), PENDING);
    assert.deepEqual(await patient.void(12), CHARGED);
  });

  it("voids a charge whose call was lost", async () => {
    const charge = () => patient.charge(13, { paymentMethod: "answer-lost-before" });
    assert.deepEqual(await charge(), PENDING);
    assert.deepEqual(await patient.void(13), VOID);
    assert.deepEqual(await charge(), VOID);
    assert.deepEqual(await database.ledger(13), [{ state: "VOID", declineReason: "" }]);
  });

  it("refuses an order id that was charged with other arguments", async () => {
    await untilKnown(() => payment.charge(14));
    const amount = { amountMinor: 1_998, currencyCode: "EUR" };
    const refused = payment.charge(14, { amount });
    await assert.rejects(
      refused,
      (error) => isFailure(error, "PAYMENT_MISMATCH") && error.code === "FAILED_PRECONDITION",
    );
  });

  it("charges the neighbours of a bad item", async () => {
    const usd = { amountMinor: -1, currencyCode: "USD" };
    const items = [
      item(15),
      item(0),
      item(16, { amount: usd }),
      item(17, { amount: undefined }),
      item(18, { paymentMethod: "4111 1111" }),
      item(19),
    ];
    const { results } = await payment.rpc.batchCharge({ items }, payment.options());
    assert.deepEqual(
      results.map(({ failure }) => failure && fromStatus(failure).reason),
      [
        undefined,
        "ID_INVALID",
        "AMOUNT_INVALID",
        "AMOUNT_INVALID",
        "PAYMENT_METHOD_INVALID",
        undefined,
      ],
    );
    assert.deepEqual(await untilKnown(() => payment.charge(15)), CHARGED);
    assert.deepEqual(await untilKnown(() => payment.charge(19)), CHARGED);
  });

  it("voids the neighbours of a bad item", async () => {
    const items = [{ orderId: 20 }, { orderId: -1 }, { orderId: 21 }];
    const { results } = await payment.rpc.batchVoid({ items }, payment.options());
    assert.deepEqual([results[0]?.payment, results[2]?.payment], [VOID, VOID]);
    assert.equal(results[1]?.failure && fromStatus(results[1].failure).reason, "ID_INVALID");
  });

  it("settles a batch of as many orders as fit in one call", async () => {
    const items = Array.from({ length: 1_000 }, (_, index) => item(10_000 + index));
    const asked = () => payment.rpc.batchCharge({ items }, payment.options());
    for (let pending = items.length; pending > 0; ) {
      const { results } = await asked();
      const charged = results.filter((result) => result.payment?.state === CHARGED.state).length;
      assert.equal(results.filter(({ failure }) => failure).length, 0);
      pending = items.length - charged;
    }
    await assert.rejects(
      payment.rpc.batchVoid(
        { items: Array.from({ length: 1_001 }, (_, index) => ({ orderId: index + 1 })) },
        payment.options(),
      ),
      (error) => isFailure(error, "TOO_MANY_ITEMS"),
    );
  });
});
