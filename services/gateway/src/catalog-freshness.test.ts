// The gateway in front of two catalogs, all real processes: how old what it shows can be.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { CatalogServiceService, type Product } from "@piata/contracts/catalog";
import { Secret } from "@piata/kit/config";
import { ownContext } from "@piata/kit/context";
import { Database, statement } from "@piata/kit/pg";
import type { RpcClient } from "@piata/kit/rpc-client";
import { openClient } from "@piata/kit/trial";
import { createTestDatabase, type TestDatabase } from "@piata/testkit/database";
import { as } from "@piata/testkit/identity";
import { metricsOf, sumOf } from "@piata/testkit/metrics";
import { type RunningService, startService } from "@piata/testkit/service";
import { until } from "@piata/testkit/until";
import { ask, startGateway, urlOf } from "./fixture.js";

const SALES = process.env.PIATA_TEST_LONG === "1" ? 1_000 : 100;
const UNITS = 1_000_000;
const RESTOCK = statement(
  "test_restock",
  "update stock set available = available + 1 where product_id = $1",
);

interface Instance extends RunningService {
  rpc: RpcClient<CatalogServiceService>;
  close(): void;
}

let database: TestDatabase;
let db: Database;
let catalogs: Instance[];
let gateway: RunningService;
let productId: number;
let orderIds = 0;

async function startCatalog(): Promise<Instance> {
  const service = await startService("catalog", { CATALOG_DATABASE_URL: database.url });
  const to = { service: "catalog", target: service.address };
  return { ...service, ...openClient(to, CatalogServiceService, { batchReserve: "order" }) };
}

before(async () => {
  database = await createTestDatabase({ template: "gateway_empty" });
  db = new Database(new Secret(database.url), { program: "gateway-test" });
  catalogs = await Promise.all([startCatalog(), startCatalog()]);
  const addresses = catalogs.map(({ address }) => address).join(",");
  gateway = await startGateway({ CATALOG_TARGET: `ipv4:${addresses}` });
});
after(async () => {
  await gateway.stop();
  for (const { close, stop } of catalogs) {
    close();
    await stop();
  }
  await db.close();
  await database.drop();
});

beforeEach(async () => {
  const offer = { name: "Lamp", price: 1, imageUrl: "", unitsAvailable: UNITS, categoryIds: [] };
  const [first] = catalogs as [Instance];
  const { product } = await first.rpc.createProduct({ ...as(1), ...offer }, ownContext(20_000));
  productId = (product as Product).id;
});

async function sell({ rpc }: Instance): Promise<void> {
  const item = { ...as(0), orderId: ++orderIds, lines: [{ productId, quantity: 1 }] };
  await rpc.batchReserve({ items: [item] }, ownContext(20_000));
}

const read = () => ask(urlOf(gateway), `{ product(id: ${productId}) { unitsAvailable } }`);
/** The units that are shown; undefined while nothing is. */
const units = async () => (await read()).data?.product?.unitsAvailable as number | undefined;

const shown = async (name: string, labels: Record<string, string> = {}) =>
  sumOf(await metricsOf(gateway), name, (given) =>
    Object.entries(labels).every(([label, value]) => given[label] === value),
  );
const hits = () => shown("piata_catalog_cache_reads_total", { of: "product", result: "hit" });

/** Waits until the gateway answers of what it keeps. */
const untilKept = () =>
  until(async () => {
    const before = await hits();
    await read();
    return (await hits()) > before;
  });

const suspended = async (instances: Instance[], work: () => Promise<void>) => {
  for (const { kill } of instances) kill("SIGSTOP");
  try {
    await work();
  } finally {
    for (const { kill } of instances) kill("SIGCONT");
  }
};

describe("what the gateway shows of a product", () => {
  it("costs the catalog nothing while nothing changes", async () => {
    await untilKept();
    const calls = () => shown("piata_calls_total", { service: "catalog" });
    const before = await calls();
    for (let time = 0; time < 50; time += 1) assert.equal(await units(), UNITS);
    assert.equal(await calls(), before);
  });

  it("is as old as a push takes, whichever instance sells", async () => {
    await untilKept();
    /** When the sale was done that left so many units. */
    const doneMs = new Map<number, number>();
    const ages: number[] = [];
    let selling = true;
    const readers = Array.from({ length: 4 }, async () => {
      while (selling) {
        const askedMs = performance.now();
        const left = (await units()) as number;
        // The next sale had been done already, when this was asked for, so long ago.
        const nextMs = doneMs.get(left - 1) ?? askedMs;
        ages.push(Math.max(0, askedMs - nextMs));
      }
    });
    for (let sale = 1; sale <= SALES; sale += 1) {
      await sell(catalogs[sale % 2] as Instance);
      doneMs.set(UNITS - sale, performance.now());
    }
    await until(async () => (await units()) === UNITS - SALES);
    selling = false;
    await Promise.all(readers);
    ages.sort((a, b) => a - b);
    const at = (share: number) => ages[Math.floor((ages.length - 1) * share)]?.toFixed(0);
    const stale = ages.filter((age) => age > 0).length;
    console.log(
      `${SALES} sales on two instances, ${ages.length} reads, ${stale} of them behind: ` +
        `p90 ${at(0.9)} ms, p99 ${at(0.99)} ms, at most ${at(1)} ms`,
    );
    assert.ok((ages.at(-1) as number) < 2_000);
  });

  it("is what was done by hand, too", async () => {
    await untilKept();
    await db.rows(RESTOCK, [productId]);
    await until(async () => (await units()) === UNITS + 1, { timeoutMs: 5_000 });
  });

  it("is never older than a second while one catalog hangs, whichever it watches", async () => {
    for (const [hung, well] of [catalogs, [...catalogs].reverse()] as [Instance, Instance][]) {
      await untilKept();
      const before = (await units()) as number;
      await suspended([hung], async () => {
        await sell(well);
        await until(async () => (await units()) === before - 1, { timeoutMs: 10_000 });
        await untilKept();
      });
    }
  });

  it("is nothing while all catalogs hang, and nothing old when they go on", async () => {
    await untilKept();
    const before = (await units()) as number;
    await suspended(catalogs, async () => {
      await db.rows(RESTOCK, [productId]);
      await until(async () => (await shown("piata_catalog_cache_live")) === 0);
      const { data, errors } = await read();
      assert.equal(data?.product ?? null, null);
      assert.match(errors[0]?.extensions.code ?? "", /^(UNAVAILABLE|DEADLINE_EXCEEDED)$/);
    });
    const first = await until(units, { timeoutMs: 30_000 });
    assert.equal(first, before + 1);
    await untilKept();
  });

  it("is nothing old when the gateway itself hung", async () => {
    await untilKept();
    const before = (await units()) as number;
    gateway.kill("SIGSTOP");
    const startedMs = performance.now();
    const late = units();
    for (let sale = 1; sale <= 3; sale += 1) await sell(catalogs[0] as Instance);
    await until(() => performance.now() - startedMs > 1_100);
    gateway.kill("SIGCONT");
    assert.equal(await late, before - 3);
  });
});
