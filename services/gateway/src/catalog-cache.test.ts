import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Server, ServerCredentials, type ServerWritableStream } from "@grpc/grpc-js";
import {
  type BatchGetProductsRequest,
  type BatchGetProductsResponse_Result,
  type CatalogServiceServer,
  CatalogServiceService,
  type Category,
  type WatchCatalogRequest,
  type WatchCatalogResponse,
} from "@piata/contracts/catalog";
import { ownContext } from "@piata/kit/context";
import { isFailure, notFound, toStatus } from "@piata/kit/errors";
import { Metrics } from "@piata/kit/metrics";
import { Channel } from "@piata/kit/rpc-client";
import { openTrialLog } from "@piata/kit/trial";
import { until } from "@piata/testkit/until";
import { catalog } from "./catalog.js";

type Watcher = ServerWritableStream<WatchCatalogRequest, WatchCatalogResponse>;
/** Products from here on are not there. */
const MISSING = 1_000_000;

/** A catalog that says what a test wants, and keeps what it was asked. */
class CatalogStub {
  readonly asked: number[] = [];
  categoriesAsked = 0;
  units = 10;
  name = "Lamp";
  /** What an answer waits for, after it was made. */
  gate: Promise<void> = Promise.resolve();
  /** Whether a new watcher is told that its watch has begun. */
  begins = true;
  watchers: Watcher[] = [];
  readonly #server = new Server();
  address = "";

  async start(): Promise<void> {
    this.#server.addService(CatalogServiceService, {
      batchGetProducts: async ({ request }, answer) => {
        const ids = (request as BatchGetProductsRequest).items.map(({ productId }) => productId);
        const results = ids.map((id) => this.#product(id));
        this.asked.push(...ids);
        await this.gate;
        answer(null, { results });
      },
      listCategories: async (_, answer) => {
        this.categoriesAsked += 1;
        const categories = [{ id: this.categoriesAsked, name: "Shelf", description: "" }];
        await this.gate;
        answer(null, { categories });
      },
      createCategory: (_, answer) =>
        answer(null, { category: { id: 9, name: "New", description: "" } }),
      watchCatalog: (call) => {
        this.watchers.push(call);
        call.on("cancelled", () => {
          this.watchers = this.watchers.filter((one) => one !== call);
        });
        if (this.begins) call.write({ productIds: [], categories: false });
      },
    } satisfies Partial<CatalogServiceServer> as never);
    this.address = await new Promise<string>((resolve, reject) => {
      this.#server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(`127.0.0.1:${port}`),
      );
    });
  }

  tell(productIds: number[], categories = false): void {
    for (const watcher of this.watchers) watcher.write({ productIds, categories });
  }

  timesAsked = (id: number) => this.asked.filter((one) => one === id).length;

  stop(): void {
    this.#server.forceShutdown();
  }

  #product(id: number): BatchGetProductsResponse_Result {
    if (id >= MISSING) {
      return { product: undefined, failure: toStatus(notFound("PRODUCT_NOT_FOUND", "No.")) };
    }
    const product = {
      id,
      name: this.name,
      price: { amountMinor: 1_950, currencyCode: "EUR" },
      unitsAvailable: this.units,
      imageUrl: "",
      categories: [],
      sellerId: 1,
    };
    return { product, failure: undefined };
  }
}

const PRODUCTS_MAX = 100;

let stub: CatalogStub;
let channel: Channel;
let shop: ReturnType<typeof catalog>;
let metrics: Metrics;
let nowMs: number;
let trial: ReturnType<typeof openTrialLog>;

beforeEach(async () => {
  stub = new CatalogStub();
  await stub.start();
  nowMs = 1_000;
  channel = new Channel({ service: "catalog", target: stub.address, caller: "test" });
  open(PRODUCTS_MAX);
  await kept();
});
afterEach(async () => {
  await shop.close();
  channel.close();
  stub.stop();
});

function open(cacheProductsMax: number): void {
  metrics = new Metrics("test");
  trial = openTrialLog();
  shop = catalog(channel, { metrics, log: trial.log, cacheProductsMax, now: () => nowMs });
}

const product = async (id: number) => shop.product(ownContext(5_000), id);
const asked = () =>
  ({ anyone: ownContext(5_000), signedIn: async () => ownContext(5_000, 1) }) as never;
const categories = async () =>
  (await shop.resolvers.Query.categories(undefined, undefined, asked())) as Category[];

let probes = 1_000;
/** Waits until answers are kept. */
async function kept(): Promise<void> {
  const id = ++probes;
  await until(async () => {
    await product(id);
    const before = stub.timesAsked(id);
    await product(id);
    return stub.timesAsked(id) === before;
  });
}

/** Tells of changes and waits until the gateway has heard. */
async function tellAndWait(productIds: number[], ofCategories = false): Promise<void> {
  const id = ++probes;
  await product(id);
  stub.tell([...productIds, id], ofCategories);
  await until(async () => {
    await product(id);
    return stub.timesAsked(id) > 1;
  });
}

async function shown(name: string, labels: Record<string, string> = {}): Promise<number> {
  const { values = [] } = (await metrics.registry.getSingleMetric(name)?.get()) ?? {};
  const wanted = values.filter((one) =>
    Object.entries(labels).every(([label, value]) => one.labels[label] === value),
  );
  return wanted.reduce((sum, { value }) => sum + value, 0);
}

describe("what the gateway keeps of the catalog", () => {
  it("is asked for once, and is the same product each time", async () => {
    const first = await product(1);
    for (let time = 0; time < 10; time += 1) assert.equal(await product(1), first);
    assert.equal(stub.timesAsked(1), 1);
    const list = await categories();
    assert.equal(await categories(), list);
    assert.equal(stub.categoriesAsked, 1);
  });

  it("is asked for again when it has changed, and nothing else is", async () => {
    await Promise.all([product(1), product(2), categories()]);
    stub.units = 9;
    await tellAndWait([1]);
    assert.equal((await product(1)).unitsAvailable, 9);
    assert.equal((await product(2)).unitsAvailable, 10);
    await categories();
    assert.deepEqual([stub.timesAsked(1), stub.timesAsked(2), stub.categoriesAsked], [2, 1, 1]);
    await tellAndWait([], true);
    assert.equal((await categories())[0]?.id, 2);
    assert.equal(stub.timesAsked(1), 2);
  });

  it("is never an answer that was on its way while its product changed", async () => {
    const gate = Promise.withResolvers<void>();
    stub.gate = gate.promise;
    const early = [product(1), categories()];
    await until(() => stub.timesAsked(1) === 1 && stub.categoriesAsked === 1);
    stub.gate = Promise.resolve();
    stub.units = 9;
    await tellAndWait([1], true);
    gate.resolve();
    await Promise.all(early);
    assert.equal((await product(1)).unitsAvailable, 9);
    assert.equal((await categories())[0]?.id, 2);
  });

  it("is not replaced by an older answer that comes after a newer one", async () => {
    const gate = Promise.withResolvers<void>();
    stub.gate = gate.promise;
    const early = product(1);
    await until(() => stub.timesAsked(1) === 1);
    stub.gate = Promise.resolve();
    stub.units = 9;
    await tellAndWait([1]);
    await product(1);
    gate.resolve();
    assert.equal((await early).unitsAvailable, 10, "who asked early is answered all the same");
    assert.equal((await product(1)).unitsAvailable, 9);
    assert.equal(stub.timesAsked(1), 2);
  });

  it("is no product that is not there", async () => {
    for (let time = 1; time <= 3; time += 1) {
      await assert.rejects(product(MISSING), (error) => isFailure(error, "PRODUCT_NOT_FOUND"));
      assert.equal(stub.timesAsked(MISSING), time);
    }
  });

  it("has a category as soon as it was created here", async () => {
    const { createCategory } = shop.resolvers.Mutation;
    await categories();
    await createCategory(undefined, { input: { name: "New", description: "" } }, asked());
    assert.equal((await categories())[0]?.id, 2);
  });

  it("is at most so many products, of which those that are asked for stay", async () => {
    for (let id = 1; id <= 10; id += 1) await product(id);
    for (let id = 11; id <= 5 * PRODUCTS_MAX; id += 1) {
      await product(id);
      await product((id % 10) + 1);
    }
    assert.equal(await shown("piata_catalog_cache_products"), PRODUCTS_MAX);
    for (let id = 1; id <= 10; id += 1) assert.equal(stub.timesAsked(id), 1);
    assert.ok((await shown("piata_catalog_cache_drops_total", { reason: "full" })) > 300);
  });

  it("is at most 2 kB a product together, however long their texts are", async () => {
    stub.name = "x".repeat(4_000);
    for (let id = 1; id <= PRODUCTS_MAX; id += 1) await product(id);
    const bytes = await shown("piata_catalog_cache_bytes");
    assert.ok(bytes > 180_000 && bytes <= PRODUCTS_MAX * 2_000, `${bytes} bytes`);
    const products = await shown("piata_catalog_cache_products");
    assert.ok(products < PRODUCTS_MAX / 3, `${products} products`);
  });

  it("is counted", async () => {
    const reads = (of: string, result: string) =>
      shown("piata_catalog_cache_reads_total", { of, result });
    const before = [await reads("product", "hit"), await reads("product", "miss")];
    await product(1);
    await product(1);
    await product(1);
    const after = [await reads("product", "hit"), await reads("product", "miss")];
    assert.deepEqual(after, [(before[0] ?? 0) + 2, (before[1] ?? 0) + 1]);
    assert.equal(await shown("piata_catalog_cache_live"), 1);
  });

  it("is nothing when it may keep none, and then it does not watch", async () => {
    await shop.close();
    await until(() => stub.watchers.length === 0);
    open(0);
    await product(1);
    await product(1);
    await categories();
    await categories();
    assert.deepEqual([stub.timesAsked(1), stub.categoriesAsked], [2, 2]);
    assert.equal(stub.watchers.length, 0);
    assert.equal(await shown("piata_catalog_cache_live"), 0);
  });
});

describe("a product for a cart", () => {
  const check = (id: number) => shop.checkProduct(ownContext(5_000), id);

  it("is looked up once: it stays, whatever changes about it, and while the catalog is away", async () => {
    await check(1);
    await tellAndWait([1]);
    await check(1);
    stub.stop();
    await until(async () => (await shown("piata_catalog_cache_live")) === 0);
    await check(1);
    assert.equal(stub.timesAsked(1), 1);
    await assert.rejects(check(2), (error) => isFailure(error) && error.code === "UNAVAILABLE");
  });

  it("is looked for each time when there is none", async () => {
    for (let time = 1; time <= 2; time += 1) {
      await assert.rejects(check(MISSING), (error) => isFailure(error, "PRODUCT_NOT_FOUND"));
      assert.equal(stub.timesAsked(MISSING), time);
    }
  });

  it("is looked up each time when nothing may be kept", async () => {
    await shop.close();
    open(0);
    await check(1);
    await check(1);
    assert.equal(stub.timesAsked(1), 2);
  });
});

describe("without a live stream of changes the gateway", () => {
  it("uses nothing after a second of silence, and begins with nothing on another stream", async () => {
    await product(1);
    nowMs += 999;
    await product(1);
    assert.equal(stub.timesAsked(1), 1);
    stub.begins = false;
    nowMs += 1;
    await product(1);
    assert.equal(stub.timesAsked(1), 2);
    assert.equal(await shown("piata_catalog_cache_live"), 0);
    const [silent] = stub.watchers;
    await until(() => stub.watchers.length === 1 && stub.watchers[0] !== silent);
    assert.match(trial.text(), /lost the stream of the catalog's changes.*|it was silent/);
    await product(1);
    assert.equal(stub.timesAsked(1), 3);
    stub.units = 9;
    stub.tell([]);
    await kept();
    assert.equal((await product(1)).unitsAvailable, 9);
    assert.equal(stub.timesAsked(1), 4);
  });

  it("does not believe a stream that speaks again after a silence: more may be on its way", async () => {
    await product(1);
    const [hung] = stub.watchers;
    stub.begins = false;
    nowMs += 1_000;
    hung?.write({ productIds: [], categories: false });
    await until(() => !stub.watchers.includes(hung as Watcher));
    await product(1);
    await product(1);
    assert.equal(stub.timesAsked(1), 3);
  });

  it("forgets everything when it ends, and what was on its way is not kept", async () => {
    await product(1);
    const gate = Promise.withResolvers<void>();
    stub.gate = gate.promise;
    const early = product(2);
    await until(() => stub.timesAsked(2) === 1);
    stub.gate = Promise.resolve();
    const [ended] = stub.watchers;
    stub.watchers = [];
    ended?.end();
    await until(() => stub.watchers.length === 1);
    await kept();
    gate.resolve();
    await early;
    await product(1);
    await product(2);
    assert.deepEqual([stub.timesAsked(1), stub.timesAsked(2)], [2, 2]);
    assert.ok((await shown("piata_catalog_cache_drops_total", { reason: "lost" })) >= 1);
  });

  it("asks the catalog each time, until the first message of a stream", async () => {
    stub.begins = false;
    const [ended] = stub.watchers;
    stub.watchers = [];
    ended?.end();
    await until(() => stub.watchers.length === 1);
    for (let time = 1; time <= 3; time += 1) {
      await product(1);
      assert.equal(stub.timesAsked(1), time);
    }
    const off = await shown("piata_catalog_cache_reads_total", { of: "product", result: "off" });
    assert.ok(off >= 3);
  });

  it("says that the catalog is away, also of what it had kept", async () => {
    await product(1);
    stub.stop();
    await until(async () => (await shown("piata_catalog_cache_live")) === 0);
    await assert.rejects(product(1), (error) => isFailure(error) && error.code === "UNAVAILABLE");
  });
});
