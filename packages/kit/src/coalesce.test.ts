import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { seeded } from "@piata/testkit/random";
import { until } from "@piata/testkit/until";
import { coalesce } from "./coalesce.js";
import { Caller, type Context, ownContext } from "./context.js";
import { Failure, notFound } from "./errors.js";

/** A far side that answers n with 10 n, when the test lets it. */
function farSide() {
  const batches: { items: number[]; answer(): void; fail(error: unknown): void }[] = [];
  const send = (items: number[]) =>
    new Promise<number[]>((resolve, reject) => {
      batches.push({ items, answer: () => resolve(items.map((n) => 10 * n)), fail: reject });
    });
  return { batches, send, sizes: () => batches.map(({ items }) => items.length) };
}

const times10 = async (items: number[]) => items.map((n) => 10 * n);
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

describe("the coalescer", () => {
  it("sends what is asked for in one turn as one batch, in order", async () => {
    const sent: number[][] = [];
    const ask = coalesce<number, number>({
      name: "test",
      send: (items) => times10(items).finally(() => sent.push(items)),
    });
    const answers = await Promise.all([3, 1, 2, 1].map(ask));
    assert.deepEqual(answers, [30, 10, 20, 10]);
    assert.deepEqual(sent, [[3, 1, 2, 1]]);
  });

  it("takes what microtasks of the same turn add along", async () => {
    const { batches, send } = farSide();
    const ask = coalesce<number, number>({ name: "test", send });
    const first = ask(1);
    const second = Promise.resolve().then(() => ask(2));
    await turn();
    await turn();
    assert.deepEqual(batches[0]?.items, [1, 2]);
    batches[0]?.answer();
    assert.deepEqual(await Promise.all([first, second]), [10, 20]);
  });

  it("has at most maxInFlight batches out, and they grow while the far side is busy", async () => {
    const { batches, send, sizes } = farSide();
    const ask = coalesce<number, number>({ name: "test", send, maxInFlight: () => 2 });
    const answers: Promise<number>[] = [];
    for (const n of upTo(10)) {
      answers.push(ask(n));
      await turn();
    }
    await turn();
    assert.deepEqual(sizes(), [1, 1], "the third waits with all that came after it");
    batches[1]?.answer();
    await turn();
    await turn();
    assert.deepEqual(sizes(), [1, 1, 8]);
    batches[2]?.answer();
    batches[0]?.answer();
    assert.deepEqual(
      await Promise.all(answers),
      upTo(10).map((n) => 10 * n),
    );
  });

  it("lingers when nobody is in a hurry, and takes along what comes meanwhile", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { batches, send, sizes } = farSide();
    const ask = coalesce<number, number>({ name: "test", send, lingerMs: 50 });
    const answers = [ask(1)];
    t.mock.timers.tick(49);
    await turn();
    answers.push(ask(2));
    assert.deepEqual(sizes(), []);
    t.mock.timers.tick(1);
    assert.deepEqual(sizes(), [2]);
    batches[0]?.answer();
    assert.deepEqual(await Promise.all(answers), [10, 20]);
  });

  it("sends at most maxItems at once and keeps the order across batches", async () => {
    const { batches, send, sizes } = farSide();
    const ask = coalesce<number, number>({ name: "test", send, maxItems: 4, maxInFlight: () => 1 });
    const answers = upTo(10).map(ask);
    for (const at of [0, 1, 2]) {
      while (batches.length <= at) await turn();
      batches[at]?.answer();
    }
    await Promise.all(answers);
    assert.deepEqual(sizes(), [4, 4, 2]);
    assert.deepEqual(
      batches.flatMap(({ items }) => items),
      upTo(10),
    );
  });

  it("asks once for equal keys of a batch, and all of them get the answer", async () => {
    const sent: number[][] = [];
    const observed: number[] = [];
    const ask = coalesce<number, number | undefined>({
      name: "test",
      key: (item) => item % 10,
      observe: (items) => observed.push(items),
      async send(items) {
        sent.push(items);
        return items.map((n) => (n === 3 ? notFound("GONE", "no 3") : 10 * n));
      },
    });
    const answers = await Promise.allSettled([1, 2, 11, 3, 13].map(ask));
    assert.deepEqual(sent, [[1, 2, 3]]);
    assert.deepEqual(observed, [3]);
    const values = answers.map((a) => (a.status === "fulfilled" ? a.value : a.reason.reason));
    assert.deepEqual(values, [10, 20, 10, "GONE", "GONE"]);
  });

  it("gives a Failure to its item alone", async () => {
    const ask = coalesce<number, number>({
      name: "test",
      send: async (items) => items.map((n) => (n === 2 ? notFound("GONE", "no 2") : n)),
    });
    const [one, two, three] = await Promise.allSettled([1, 2, 3].map(ask));
    assert.deepEqual(
      [one, three].map((a) => a?.status),
      ["fulfilled", "fulfilled"],
    );
    assert.ok(two?.status === "rejected" && two.reason instanceof Failure);
  });

  it("gives what the far side throws to all of the batch, and to nobody else", async () => {
    const { batches, send } = farSide();
    const ask = coalesce<number, number>({ name: "test", send, maxItems: 2, maxInFlight: () => 2 });
    const answers = upTo(4).map(ask);
    const settled = Promise.allSettled(answers);
    while (batches.length < 2) await turn();
    const away = new Error("away");
    batches[0]?.fail(away);
    batches[1]?.answer();
    assert.deepEqual(await settled, [
      { status: "rejected", reason: away },
      { status: "rejected", reason: away },
      { status: "fulfilled", value: 20 },
      { status: "fulfilled", value: 30 },
    ]);
    assert.equal(await Promise.race([ask(7), answerNext(batches, 2)]), 70, "it goes on");
  });

  for (const broken of ["key", "observe", "send"] as const) {
    it(`gives what ${broken} throws at once to all of the batch`, async () => {
      const bug = () => {
        throw new TypeError("a bug");
      };
      const ask = coalesce<number, number>({ name: "test", send: times10, [broken]: bug });
      await assert.rejects(ask(1), TypeError);
      await assert.rejects(ask(2), TypeError, "it goes on");
    });
  }

  it("is INTERNAL for the items that the far side forgot to answer, and says so inside", async () => {
    const ask = coalesce<number, number>({ name: "test", send: async () => [10] });
    const [one, two, three] = await Promise.allSettled([1, 2, 3].map(ask));
    assert.deepEqual(one, { status: "fulfilled", value: 10 });
    for (const late of [two, three]) {
      assert.ok(late?.status === "rejected");
      assert.equal(late.reason.code, "INTERNAL");
      assert.match(late.reason.cause.message, /test: 1 answers for 3 items/);
    }
  });

  it("takes an answer of undefined for an answer", async () => {
    const ask = coalesce<number, undefined>({
      name: "test",
      send: async (i) => i.map(() => undefined),
    });
    assert.equal(await ask(1), undefined);
  });

  it("refuses early when too many wait, and takes more once there is room", async () => {
    const { batches, send } = farSide();
    const ask = coalesce<number, number>({
      name: "carts",
      send,
      maxInFlight: () => 1,
      maxWaiting: 2,
    });
    const out = ask(0);
    while (batches.length === 0) await turn();
    const waiting = [ask(1), ask(2)];
    await assert.rejects(ask(3), {
      code: "RESOURCE_EXHAUSTED",
      reason: "QUEUE_FULL",
    });
    batches[0]?.answer();
    await answerNext(batches, 1);
    assert.deepEqual(await Promise.all([out, ...waiting]), [0, 10, 20]);
    const more = ask(3);
    await answerNext(batches, 2);
    assert.equal(await more, 30);
  });
});

async function answerNext(batches: { answer(): void }[], at: number): Promise<void> {
  while (batches.length <= at) await turn();
  batches[at]?.answer();
  await turn();
}

describe("whoever waits for an item of a batch", () => {
  const item = (n: number, context: Partial<Context> = {}) => ({
    n,
    context: { ...ownContext(60_000), ...context },
  });
  type Item = ReturnType<typeof item>;
  const asking = (send: (items: number[]) => Promise<number[]>) =>
    coalesce<Item, number>({
      name: "test",
      send: (items) => send(items.map(({ n }) => n)),
      context: ({ context }) => context,
      maxInFlight: () => 1,
    });
  const tooLate = { code: "DEADLINE_EXCEEDED", reason: "DEADLINE" };

  it("is not asked for when their time was over before its turn came, or they have left", async () => {
    const { batches, send } = farSide();
    const ask = asking(send);
    const caller = new Caller();
    const first = ask(item(1));
    await turn();
    const others = [
      ask(item(2)),
      ask(item(3, { caller })),
      ask(item(4, { deadlineMs: Date.now() - 1 })),
      ask(item(5, { caller: new Caller() })),
    ];
    const [, left, late] = others.map((asked) => asked.catch((error) => error));
    caller.leave();
    batches[0]?.answer();
    await until(() => batches.length === 2);
    assert.deepEqual(batches[1]?.items, [2, 5]);
    batches[1]?.answer();
    assert.deepEqual(await Promise.all([first, others[0], others[3]]), [10, 20, 50]);
    for (const refused of [await left, await late]) {
      assert.deepEqual({ code: refused.code, reason: refused.reason }, tooLate);
    }
  });

  it("waits no longer than they said, though others of the batch wait on", async () => {
    const { batches, send } = farSide();
    const ask = asking(send);
    const patient = ask(item(1));
    await assert.rejects(ask(item(2, { deadlineMs: Date.now() + 60 })), tooLate);
    await assert.rejects(ask(item(3, { deadlineMs: Date.now() - 60 })), tooLate);
    assert.deepEqual(batches[0]?.items, [1, 2]);
    batches[0]?.answer();
    assert.equal(await patient, 10);
  });

  it("does not wait behind batches that hang, while there are not too many of them", async () => {
    const { batches, send } = farSide();
    const ask = asking(send);
    const answers = [ask(item(1))];
    for (const n of [2, 3, 4, 5]) {
      await until(() => batches.length === n - 1);
      answers.push(ask(item(n)));
    }
    await until(() => batches.length === 4);
    batches[2]?.answer();
    assert.equal(await answers[2], 30);
    await until(() => batches.length === 5);
    for (const batch of batches) batch.answer();
    assert.deepEqual(await Promise.all(answers), [10, 20, 30, 40, 50]);
  });

  it("leaves the next batch to those who still wait when all of one have left", async () => {
    const { batches, send } = farSide();
    const ask = asking(send);
    const caller = new Caller();
    const first = ask(item(1));
    await turn();
    const gone = ask(item(2, { caller })).catch((error) => error);
    caller.leave();
    batches[0]?.answer();
    await first;
    assert.deepEqual(tooLate.reason, (await gone).reason);
    const next = ask(item(3));
    await until(() => batches.length === 2);
    batches[1]?.answer();
    assert.equal(await next, 30);
  });
});

for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
  it(`whatever the timing, every item gets its own answer (seed ${seed})`, async () => {
    const random = seeded(seed);
    const below = (limit: number) => Math.floor(random() * limit);
    const [maxItems, maxInFlight] = [1 + below(20), 1 + below(4)];
    let [inFlight, most, largest] = [0, 0, 0];
    const ask = coalesce<number, string>({
      name: "test",
      maxItems,
      maxInFlight: () => maxInFlight,
      ...(seed % 2 === 0 && { key: (n: number) => n % 37 }),
      async send(items) {
        inFlight += 1;
        most = Math.max(most, inFlight);
        largest = Math.max(largest, items.length);
        for (let turns = below(6); turns > 0; turns -= 1) await turn();
        inFlight -= 1;
        if (random() < 0.1) throw new Error(`away ${items.map((n) => n % 37)}`);
        return items.map((n) => (n % 7 === 0 ? notFound("GONE", `${n % 37}`) : `${n % 37}`));
      },
    });
    const asked: Promise<void>[] = [];
    for (let count = 0; count < 500; count += 1) {
      const n = below(37);
      asked.push(
        ask(n).then(
          (answer) => assert.equal(answer, String(n)),
          (error: Error) => {
            if (error instanceof Failure) assert.equal(error.message, String(n));
            else assert.ok(error.message.split(/[ ,]/).includes(String(n)), error.message);
          },
        ),
      );
      if (random() < 0.2) await turn();
    }
    await Promise.all(asked);
    assert.ok(most <= maxInFlight, `${most} batches were out`);
    assert.ok(largest <= maxItems, `${largest} items were in a batch`);
    assert.equal(inFlight, 0);
  });
}
