import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Role } from "@piata/contracts/item";
import { answerEach, batched, ITEMS_MAX } from "./batch.js";
import { Caller, type Context } from "./context.js";
import { Failure, invalidArgument, notFound } from "./errors.js";
import { Metrics } from "./metrics.js";
import { charged, chargeItem, openTrialLog, serve } from "./trial.js";

const context = (userId: number): Context => ({
  traceId: String(userId).padStart(32, "0"),
  spanId: "",
  userId,
  role: Role.CUSTOMER,
  deadlineMs: Date.now() + 10_000,
});

const { context: _, ...order } = chargeItem(1);

/** Even orders are charged, odd ones are not there, 13 is unlucky. */
async function charge(orderIds: number[]) {
  return orderIds.map((id) =>
    id % 2 === 0
      ? charged
      : notFound("ORDER_NOT_FOUND", `There is no order ${id}.`, { id: `${id}` }),
  );
}

const checked = ({ orderId }: { orderId: number }): number => {
  if (orderId === 13) throw invalidArgument("UNLUCKY", "Not 13.", { field: "order_id" });
  return orderId;
};

describe("a batched call", () => {
  it("answers each item for itself: neighbours of a failed one keep theirs", async (t) => {
    const { log, lines } = openTrialLog();
    const asked: unknown[] = [];
    const handlers = {
      batchCharge: async ({ items }: { items: ReturnType<typeof chargeItem>[] }) => {
        asked.push(items.map(({ context }) => context?.userId));
        return { results: (await answerEach(items, checked, charge)) as never };
      },
    };
    const trial = await serve(handlers, { log });
    t.after(() => trial.close());
    const metrics = new Metrics("test");
    const ask = batched(trial.payment.batchCharge, { name: "charge", metrics });
    const [two, three, thirteen, four] = await Promise.allSettled(
      [2, 3, 13, 4].map((orderId) => ask(context(orderId), { ...order, orderId })),
    );
    for (const one of [two, four]) {
      assert.equal(one?.status, "fulfilled");
      assert.deepEqual(one.value.payment, charged.payment);
    }
    assert.equal(three?.status, "rejected");
    assert.deepEqual(
      three.reason,
      new Failure("NOT_FOUND", "ORDER_NOT_FOUND", "There is no order 3.", { id: "3" }),
    );
    assert.equal(thirteen?.status, "rejected");
    assert.deepEqual(thirteen.reason.metadata, { field: "order_id" });
    assert.deepEqual(asked, [[2, 3, 13, 4]], "one call, each item with its own identity");
    const failed = lines().filter(({ msg }) => msg === "item failed");
    assert.deepEqual(
      failed.map(({ reason, code, traceId }) => ({ reason, code, traceId })),
      [
        { reason: "ORDER_NOT_FOUND", code: "NOT_FOUND", traceId: context(3).traceId },
        { reason: "UNLUCKY", code: "INVALID_ARGUMENT", traceId: context(13).traceId },
      ],
    );
    assert.match(await metrics.registry.metrics(), /^piata_batch_items_sum\{.*\} 4$/m);
  });

  it("waits as long as its most patient item", async () => {
    const deadlines: number[] = [];
    const timeouts: number[][] = [];
    const nowMs = Date.now();
    const rpc = async (
      { items }: { items: ReturnType<typeof chargeItem>[] },
      { deadlineMs }: Context,
    ) => {
      deadlines.push(deadlineMs - nowMs);
      timeouts.push(items.map((item) => item.context?.timeoutMs ?? 0));
      return { results: items.map(() => charged) };
    };
    const ask = batched(Object.assign(rpc, { instances: () => 1 }), {
      name: "charge",
      metrics: new Metrics("test"),
    });
    const inMs = (ms: number) => ({ ...context(1), deadlineMs: nowMs + ms });
    await Promise.all([1_000, 3_000, 2_000].map((ms) => ask(inMs(ms), order)));
    assert.deepEqual(deadlines, [3_000]);
    const [[one = 0, two = 0, three = 0] = []] = timeouts;
    assert.ok(one <= 1_000 && one > 500, "each says how long it waits itself");
    assert.ok(two <= 3_000 && two > 2_500 && three <= 2_000 && three > 1_500);
  });
});

describe("equal items of a batch", () => {
  const orders = async (items: unknown[]) => ({ results: items.map(() => charged) });

  it("are asked for once, for as long as any of their callers waits", async () => {
    const calls: Context[] = [];
    const rpc = async ({ items }: { items: ReturnType<typeof chargeItem>[] }, asked: Context) => {
      calls.push(asked);
      assert.equal(items.length, 1);
      return orders(items);
    };
    const ask = batched(Object.assign(rpc, { instances: () => 1 }), {
      name: "charge",
      metrics: new Metrics("test"),
      key: ({ orderId }) => orderId,
    });
    const [first, second] = [new Caller(), new Caller()];
    const now = Date.now();
    await Promise.all([
      ask({ ...context(1), deadlineMs: now + 1_000, caller: first }, order),
      ask({ ...context(2), deadlineMs: now + 2_000, caller: second }, order),
    ]);
    assert.deepEqual(
      calls.map(({ deadlineMs }) => deadlineMs),
      [now + 2_000],
    );
    first.leave();
    assert.equal(calls[0]?.caller?.isGone, false, "the other one still waits");
    second.leave();
    assert.equal(calls[0]?.caller?.isGone, true);
  });
});

describe("the server's end of a batch", () => {
  it("does not ask the store when nothing passed, and answers nothing to nothing", async () => {
    const settle = async () => assert.fail("nothing was to be settled");
    assert.deepEqual(await answerEach([], checked, settle), []);
    const [result] = await answerEach([{ orderId: 13 }], checked, settle);
    assert.equal((result as { failure: { code: number } }).failure.code, 3);
  });

  it("refuses more items than it promises to take", async () => {
    const items = Array.from({ length: ITEMS_MAX }, (_, index) => ({ orderId: index * 2 + 100 }));
    assert.equal((await answerEach(items, checked, charge)).length, ITEMS_MAX);
    await assert.rejects(answerEach([...items, { orderId: 2 }], checked, charge), {
      code: "INVALID_ARGUMENT",
      reason: "TOO_MANY_ITEMS",
    });
  });

  it("takes a bug of a check, and a store that answers too little, for what they are", async () => {
    const bug = () => {
      throw new TypeError("a bug");
    };
    await assert.rejects(answerEach([1], bug, charge), TypeError);
    await assert.rejects(
      answerEach([{ orderId: 2 }, { orderId: 4 }], checked, async () => [charged]),
      /1 answers were made for 2 items/,
    );
  });
});
