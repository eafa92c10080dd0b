import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { CheckoutState } from "@piata/contracts/cart";
import type { BatchPlaceOrdersRequest_Item } from "@piata/contracts/order";
import { isFailure, unavailable } from "@piata/kit/errors";
import { openLog } from "@piata/kit/log";
import { Metrics } from "@piata/kit/metrics";
import { statement } from "@piata/kit/pg";
import { Worker } from "@piata/kit/worker";
import { as } from "@piata/testkit/identity";
import { until } from "@piata/testkit/until";
import { Checkout } from "./checkout.js";
import { type OrderDatabase, openDatabase } from "./fixture.js";
import { Neighbours, TRACE_ID } from "./neighbours.fixture.js";
import type { Order } from "./order.js";
import { Place } from "./place.js";
import { OrderStore } from "./store.js";
import { checkedWish, type Wish } from "./wish.js";

const LEASE_MS = 60_000;
const EMPTY = statement(
  "test_empty",
  `truncate orders, refunds, idempotency_keys restart identity`,
);
const LEASE_OVER = statement(
  "test_lease_over",
  `update orders set next_try_at = now() where next_try_at is not null`,
);

const wish = (other: Partial<Wish> = {}): Wish => ({
  userId: 1,
  passport: "",
  traceId: TRACE_ID,
  spanId: "",
  paymentMethod: "success",
  idempotencyKey: "",
  expectedTotalMinor: undefined,
  deadlineMs: Number.POSITIVE_INFINITY,
  ...other,
});

describe("a wish", () => {
  const checked = (other: Partial<BatchPlaceOrdersRequest_Item>) =>
    checkedWish({ ...as(1), paymentMethod: "", idempotencyKey: "", ...other });

  it("is taken as it is when it is well-formed", () => {
    const idempotencyKey = "~".repeat(100);
    const paymentMethod = "a-Z_0".padEnd(64, "x");
    const taken = checked({ paymentMethod, idempotencyKey, expectedTotalMinor: 0 });
    const { deadlineMs, passport } = taken;
    assert.match(passport, /^ey/);
    assert.ok(deadlineMs > Date.now() && deadlineMs <= Date.now() + 10_000);
    const asked = wish({ passport, paymentMethod, idempotencyKey, deadlineMs });
    assert.deepEqual(taken, { ...asked, expectedTotalMinor: 0 });
  });

  const refusals: [string, Partial<BatchPlaceOrdersRequest_Item>][] = [
    ["SIGN_IN_REQUIRED", { context: undefined }],
    ["SIGN_IN_REQUIRED", as(0)],
    ["PAYMENT_METHOD_INVALID", { paymentMethod: "4111 1111" }],
    ["PAYMENT_METHOD_INVALID", { paymentMethod: "x".repeat(65) }],
    ["IDEMPOTENCY_KEY_INVALID", { idempotencyKey: "x".repeat(101) }],
    ["IDEMPOTENCY_KEY_INVALID", { idempotencyKey: "a b" }],
    ["IDEMPOTENCY_KEY_INVALID", { idempotencyKey: "ä" }],
    ["EXPECTED_TOTAL_INVALID", { expectedTotalMinor: -1 }],
    ["EXPECTED_TOTAL_INVALID", { expectedTotalMinor: 1.5 }],
    ["EXPECTED_TOTAL_INVALID", { expectedTotalMinor: 2 ** 53 }],
  ];
  for (const [reason, other] of refusals) {
    it(`is refused with ${reason} for ${JSON.stringify(other).slice(0, 40)}`, () => {
      assert.throws(
        () => checked(other),
        (error) => isFailure(error, reason),
      );
    });
  }
});

describe("placing an order", () => {
  let database: OrderDatabase;
  let store: OrderStore;
  let neighbours: Neighbours;
  let worker: Worker<Order>;
  let checkout: Checkout;
  let place: Place;
  const log = openLog("order-test", "silent");

  before(async () => {
    database = await openDatabase();
    store = new OrderStore(database.db, { metrics: new Metrics("order-test"), leaseMs: LEASE_MS });
  });
  beforeEach(async () => {
    await database.db.rows(EMPTY);
    neighbours = new Neighbours();
    neighbours.cart = [{ productId: 1, quantity: 2 }];
    checkout = new Checkout({
      orders: store,
      participants: neighbours,
      log,
      paymentLimitMs: 900_000,
    });
    // What is claimed, and when, is the test's to say.
    worker = new Worker({ name: "test", log, claim: async () => [], work: (o) => checkout.run(o) });
    place = new Place({ store, participants: neighbours, checkout, worker, log, openMax: 3 });
  });
  afterEach(() => worker.stop());
  after(() => database.drop());

  const over = (orderId: number) =>
    until(async () => (await database.row(orderId))?.open === false, { what: "the order's end" });
  /** What another instance does about the orders whose lease has run out. */
  const recover = async () => {
    await database.db.rows(LEASE_OVER);
    for (const order of await store.claim(100)) await checkout.run(order);
  };
  const refuses = (call: Promise<unknown>, code: string, reason: string) =>
    assert.rejects(call, (error) => isFailure(error, reason) && error.code === code, reason);

  it("takes the cart, answers, and goes on to its end", async () => {
    const id = await place.place(wish());
    await over(id);
    assert.equal((await database.row(id))?.state, "PAID");
    assert.deepEqual(neighbours.calls.slice(0, 3), ["cartOf", "take", "reserve"]);
  });

  it("answers a bug as INTERNAL and leaves the other wishes of the batch alone", async () => {
    let first = true;
    neighbours.interfere = (call) => {
      if (call !== "cartOf" || !first) return;
      first = false;
      throw new TypeError("a bug");
    };
    const [one, other] = await place.placeAll([wish(), wish()]);
    assert.ok(isFailure(one) && one.code === "INTERNAL");
    await over(other as number);
  });

  it("orders nothing for somebody who no longer waits when the cart is known", async () => {
    const late = wish({ deadlineMs: Date.now() - 1 });
    await refuses(place.place(late), "DEADLINE_EXCEEDED", "DEADLINE");
    assert.deepEqual(neighbours.calls, ["cartOf"]);
    assert.equal(neighbours.cart.length, 1);
  });

  it("refuses more orders than it may have open", async () => {
    const gate = Promise.withResolvers<void>();
    neighbours.interfere = (call) => (call === "reserve" ? gate.promise : undefined);
    const ids: number[] = [];
    for (let count = 0; count < 3; count += 1) {
      neighbours.cart = [{ productId: 1, quantity: 1 }];
      ids.push(await place.place(wish()));
    }
    neighbours.cart = [{ productId: 1, quantity: 1 }];
    await refuses(place.place(wish()), "RESOURCE_EXHAUSTED", "TOO_MANY_ORDERS");
    assert.equal(neighbours.cart.length, 1);
    gate.resolve();
    for (const id of ids) await over(id);
  });

  it("goes on after the answer about the cart was lost, with an order nobody was told of", async () => {
    neighbours.interfere = (call, when) => {
      if (call === "take" && when === "after") throw unavailable("SERVICE_UNREACHABLE", "Lost.");
    };
    const keyed = wish({ idempotencyKey: "key" });
    await refuses(place.place(keyed), "UNAVAILABLE", "SERVICE_UNREACHABLE");
    neighbours.interfere = () => undefined;
    await recover();
    const id = await place.place(keyed);
    assert.equal((await database.row(id))?.state, "PAID");
    await assert.rejects(place.place(wish()), { metadata: { lastOrderId: String(id) } });
  });

  it("ends the intent when the cart was never asked, and the key is free again", async () => {
    neighbours.interfere = (call, when) => {
      if (call === "take" && when === "before") throw unavailable("SERVICE_UNREACHABLE", "Away.");
    };
    const keyed = wish({ idempotencyKey: "key" });
    await refuses(place.place(keyed), "UNAVAILABLE", "SERVICE_UNREACHABLE");
    neighbours.interfere = () => undefined;
    await recover();
    assert.deepEqual(await database.row(1), { state: "ABANDONED", open: false });
    assert.deepEqual(neighbours.cart, [{ productId: 1, quantity: 2 }]);
    const id = await place.place(keyed);
    await over(id);
    assert.equal((await database.row(id))?.state, "PAID");
  });

  describe("by a process that was paused for longer than its lease", () => {
    /** Another instance finds the intent in the very moment of a call. */
    const pausedAt = (moment: "before" | "after", asleep: () => Promise<void>) => {
      neighbours.interfere = async (call, when) => {
        if (call !== "take" || when !== moment) return;
        neighbours.interfere = () => undefined;
        await asleep();
      };
    };

    it("before the take: it is told so, and the cart is as it was", async () => {
      pausedAt("before", recover);
      const keyed = wish({ idempotencyKey: "key" });
      await refuses(place.place(keyed), "ABORTED", "ORDER_ABANDONED");
      assert.deepEqual(await database.row(1), { state: "ABANDONED", open: false });
      assert.deepEqual(neighbours.cart, [{ productId: 1, quantity: 2 }]);
      // The key has not learnt that the cart was empty: it was not.
      const id = await place.place(keyed);
      await over(id);
      assert.equal((await database.row(id))?.state, "PAID");
    });

    it("before the take, which comes before the mark: the cart is put back first", async () => {
      pausedAt("before", async () => {
        neighbours.interfere = (call) => {
          if (call === "restore") throw unavailable("SERVICE_UNREACHABLE", "The cart is away.");
        };
        await recover();
        neighbours.interfere = () => undefined;
      });
      await refuses(place.place(wish()), "ABORTED", "ORDER_ABANDONED");
      assert.deepEqual(neighbours.cart, [{ productId: 1, quantity: 2 }]);
      assert.deepEqual(await database.row(1), { state: "ABANDONED", open: true });
      await recover();
      assert.deepEqual(await database.row(1), { state: "ABANDONED", open: false });
      assert.deepEqual(neighbours.cart, [{ productId: 1, quantity: 2 }]);
      assert.equal(neighbours.checkouts.get(1)?.state, CheckoutState.ENDED);
    });

    it("after the take: its order was taken on by the other one", async () => {
      pausedAt("after", recover);
      const id = await place.place(wish());
      assert.deepEqual(await database.row(id), { state: "PAID", open: false });
      assert.equal(neighbours.calls.filter((call) => call === "charge").length, 1);
      assert.deepEqual(neighbours.cart, []);
    });

    it("with a key that another call waits for: both get the same answer", async () => {
      const keyed = wish({ idempotencyKey: "key" });
      let waiting: Promise<number> | undefined;
      pausedAt("after", async () => {
        waiting = place.place(keyed);
        await recover();
      });
      const id = await place.place(keyed);
      assert.equal(await waiting, id);
    });
  });

  it("asks to come again while the first call with the key is not answered", async () => {
    const gate = Promise.withResolvers<void>();
    neighbours.interfere = (call) => (call === "take" ? gate.promise : undefined);
    const keyed = wish({ idempotencyKey: "key" });
    const first = place.place(keyed);
    await until(async () => (await store.findFirstAnswer(keyed)) !== undefined);
    await refuses(place.place(keyed), "ABORTED", "IDEMPOTENCY_KEY_IN_USE");
    gate.resolve();
    const id = await first;
    assert.equal(await place.place(keyed), id);
    await over(id);
  });

  it("waits at the end for the orders that are worked on", async () => {
    const gate = Promise.withResolvers<void>();
    neighbours.interfere = (call) => (call === "charge" ? gate.promise : undefined);
    const id = await place.place(wish());
    await until(() => neighbours.calls.includes("reserve"));
    const stopped = worker.stop();
    gate.resolve();
    await stopped;
    assert.deepEqual(await database.row(id), { state: "PAID", open: false });
  });
});
