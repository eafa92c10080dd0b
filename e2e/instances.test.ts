import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import { metricsOf, sumOf } from "@piata/testkit/metrics";
import { type Shop, type ShopProcess, startShop } from "@piata/testkit/shop";
import { until } from "@piata/testkit/until";
import { assertBooksAgree } from "./market.ts";
import { type Outcome, type Shoppers, startShoppers } from "./shoppers.ts";

const isLong = process.env.PIATA_TEST_LONG === "1";
const ROUNDS = isLong ? 10 : 1;
const PEOPLE = 8;
const PROGRAMS = ["discovery", "access", "catalog", "cart", "order", "payment", "gateway"];

// The tests are one story of one shop: what they do to it is over when they end.
describe("a shop with two instances of everything", () => {
  let shop: Shop;

  before(async () => {
    shop = await startShop({ replicas: Object.fromEntries(PROGRAMS.map((name) => [name, 2])) });
  });
  after(async () => {
    await assertBooksAgree(shop);
    await shop.stop();
  });

  async function shoppers(t: TestContext): Promise<Shoppers> {
    const people = await startShoppers(shop, PEOPLE);
    t.after(() => people.end());
    await until(() => people.answered() > PEOPLE * 6);
    return people;
  }
  /** Waits until so many more requests were answered. */
  const more = (people: Shoppers, count: number) => {
    const before = people.answered();
    return until(() => people.answered() >= before + count, { timeoutMs: 60_000 });
  };
  function report(t: TestContext, { answered, bought, lost, slowestMs }: Outcome): void {
    const slowest = `the slowest took ${Math.round(slowestMs)} ms`;
    t.diagnostic(`${answered} answered, ${bought} orders, ${lost.length} lost, ${slowest}`);
  }
  const losses = ({ lost }: Outcome) => lost.map(({ what }) => what);

  // Fourteen instances, one after the other: minutes, when other tests run beside it.
  const patience = { timeout: ROUNDS * 300_000 };
  it(
    `loses no request while each instance is replaced, ${ROUNDS} times round`,
    patience,
    async (t) => {
      const people = await shoppers(t);
      const before = await shop.processes();
      for (let round = 0; round < ROUNDS; round += 1) {
        await shop.roll();
      }
      const outcome = await people.end();
      report(t, outcome);
      assert.deepEqual(losses(outcome), []);
      const pids = new Set((await shop.processes()).map(({ pid }) => pid));
      const stayed = before.filter(({ pid }) => pids.has(pid)).map(({ name }) => name);
      assert.deepEqual(stayed.sort(), ["launcher", "postgres"]);
    },
  );

  it("loses no read when a catalog is killed, for they are asked of the other", async (t) => {
    const people = await shoppers(t);
    const killedMs: number[] = [];
    for (const instance of [1, 2]) {
      const killed = await shop.process("catalog", instance);
      killedMs.push(performance.now());
      await shop.kill("catalog", instance);
      await more(people, 200);
      await shop.successor(killed);
      await more(people, 100);
    }
    const outcome = await people.end();
    report(t, outcome);
    const late = outcome.lost.filter(({ atMs }) =>
      killedMs.every((killMs) => atMs < killMs || atMs > killMs + 300),
    );
    assert.deepEqual(late, [], "only in the first 300 ms may anything fail");
    assert.deepEqual(losses(outcome), []);
  });

  it("goes on without any discovery", async (t) => {
    const people = await shoppers(t);
    const discoveries = await Promise.all([1, 2].map((one) => shop.process("discovery", one)));
    for (const { pid } of discoveries) process.kill(pid, "SIGKILL");
    await more(people, 300);
    for (const discovery of discoveries) await shop.successor(discovery);
    await more(people, 100);
    const outcome = await people.end();
    report(t, outcome);
    assert.deepEqual(losses(outcome), []);
  });

  it("leaves a catalog alone that hangs, and returns to it when it goes on", async (t) => {
    const people = await shoppers(t);
    const hung = await shop.process("catalog", 1);
    process.kill(hung.pid, "SIGSTOP");
    try {
      await more(people, 500);
      const start = people.answered();
      const startMs = performance.now();
      await more(people, 200);
      const perSecond = ((people.answered() - start) * 1_000) / (performance.now() - startMs);
      t.diagnostic(`${Math.round(perSecond)} requests/s while it hangs`);
    } finally {
      process.kill(hung.pid, "SIGCONT");
    }
    const calls = await answered(hung);
    await until(async () => (await answered(hung)) > calls + 20, {
      timeoutMs: 15_000,
      what: "calls to the catalog that goes on",
    });
    const outcome = await people.end();
    report(t, outcome);
    const reads = outcome.lost.filter(({ what }) => !what.startsWith("mutation"));
    assert.deepEqual(reads, [], "reads are asked of the other one");
  });
});

/** Calls that a catalog has answered, health checks aside. */
const answered = async (catalog: ShopProcess): Promise<number> =>
  sumOf(await metricsOf(catalog), "piata_answered_total", ({ method }) =>
    Boolean(method?.startsWith("piata.")),
  );
