// The real shop, started by its launcher on a data folder of its own, with something in it to sell.
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@piata/testkit/client";
import { metricsOf, type Sample } from "@piata/testkit/metrics";
import { Processes } from "@piata/testkit/processes";
import { type Shop, startShop } from "@piata/testkit/shop";
import pg from "pg";
import type { Customer, World } from "./flows.ts";

/** What is set otherwise than for a shop: printed by every run. */
export const RAISED: Readonly<Record<string, string>> = {
  // All customers come from one address, which is counted as a stranger's would be, as are users.
  GATEWAY_RATE_LIMIT_EXEMPT: "none",
  GATEWAY_ADDRESS_REQUESTS_PER_MINUTE: "1000000000",
  GATEWAY_USER_REQUESTS_PER_MINUTE: "1000000000",
  GATEWAY_REGISTRATIONS_PER_HOUR: "1000000000",
  // One seller makes all the products, and nobody signs in a second time.
  CATALOG_WRITES_PER_DAY: "1000000",
  ACCESS_TOKEN_SECONDS: "3600",
  // A flood of logins waits instead of being refused: what is measured is what it does to others.
  ACCESS_PASSWORD_CHECKS_WAITING: "1000",
};

const UNITS = 1_000_000_000;
const REGISTERED_AT_ONCE = 8;
const CREATED_AT_ONCE = 16;

export interface Stock {
  readonly products: number;
  readonly categories: number;
  readonly customers: number;
}

export interface SystemOptions {
  readonly compact: boolean;
  readonly env?: NodeJS.ProcessEnv;
}

/** How long the launcher took. */
export interface StartTimes {
  /** From its start to the first answer, on an empty folder: PostgreSQL makes its files as well. */
  readonly newMs: number;
  /** The same on the folder of a shop that was there before. */
  readonly againMs: number;
}

export class System {
  readonly dataDir: string;
  readonly #options: SystemOptions;
  #shop: Shop | undefined;
  #processes = new Processes([]);
  startMs = 0;

  private constructor(dataDir: string, options: SystemOptions) {
    this.dataDir = dataDir;
    this.#options = options;
  }

  static async start(options: SystemOptions): Promise<System> {
    const dataDir = await mkdtemp(join(tmpdir(), "piata-bench-"));
    // PostgreSQL may run as another user, who has to get to its folder.
    await chmod(dataDir, 0o711);
    const system = new System(dataDir, options);
    try {
      await system.#launch();
    } catch (error) {
      await rm(dataDir, { recursive: true, force: true });
      throw error;
    }
    return system;
  }

  /** Ends it and starts it on the same folder: what it was for has left nothing in memory. */
  async restart(): Promise<void> {
    await this.shop.stop();
    await this.#launch();
  }

  get shop(): Shop {
    if (this.#shop === undefined) throw new Error("The shop has not started.");
    return this.#shop;
  }

  get processes(): Processes {
    return this.#processes;
  }

  async #launch(): Promise<void> {
    const { compact, env } = this.#options;
    const startMs = performance.now();
    this.#shop = await startShop({
      dataDir: this.dataDir,
      compact,
      env: { ...RAISED, ...env },
    });
    await this.#shop.client().ask("{ products(first: 1) { items { id } } }");
    this.startMs = performance.now() - startMs;
    this.#processes = new Processes(await this.#shop.processes());
  }

  /** Of the embedded PostgreSQL. */
  async superuserUrl(): Promise<string> {
    const password = await readFile(join(this.dataDir, "postgres", "password"), "utf8");
    const { address } = await this.shop.process("postgres");
    return `postgres://postgres:${password.trim()}@${address}/postgres`;
  }

  /** Rows of a database: of a service's, or the superuser's. */
  async rows(url: string, sql: string, values: unknown[] = []): Promise<Record<string, string>[]> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query(sql, values)).rows;
    } finally {
      await client.end();
    }
  }

  /** What the programs show now. */
  async #samples(): Promise<(Sample & { readonly pid: number })[]> {
    const rows = (await this.shop.processes()).filter(({ httpAddress }) => httpAddress);
    const shown = rows.map(async (row) => {
      const { samples } = await metricsOf(row);
      return samples.map((sample) => ({ ...sample, pid: row.pid }));
    });
    return (await Promise.all(shown)).flat();
  }

  /** MiB that the programs' heaps hold now. */
  async heaps(): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for (const { name, value, pid } of await this.#samples()) {
      if (name === "nodejs_heap_size_used_bytes") {
        found.set(this.#processes.nameOf(pid), value / 2 ** 20);
      }
    }
    return found;
  }

  /** Calls between programs until now, but those to discovery, which time makes. */
  async calls(): Promise<number> {
    return (await this.#samples())
      .filter(({ name, labels }) => name === "piata_calls_total" && labels.service !== "discovery")
      .reduce((sum, { value }) => sum + value, 0);
  }

  /** Items and batches until now, by coalescer. */
  async batches(): Promise<Map<string, Batches>> {
    const found = new Map<string, { items: number; batches: number }>();
    for (const { name, labels, value } of await this.#samples()) {
      const [, part] = /^piata_batch_items_(sum|count)$/.exec(name) ?? [];
      const { batch } = labels;
      if (part === undefined || batch === undefined) continue;
      const row = found.get(batch) ?? { items: 0, batches: 0 };
      found.set(batch, row);
      if (part === "sum") row.items += value;
      else row.batches += value;
    }
    return found;
  }

  async stop(): Promise<void> {
    try {
      await this.#shop?.stop();
    } finally {
      await rm(this.dataDir, { recursive: true, force: true });
    }
  }
}

export interface Batches {
  readonly items: number;
  readonly batches: number;
}

/** Fills a shop through its API, as its people would. */
export async function seed(shop: Shop, stock: Stock): Promise<World> {
  const customers = await register(shop, stock.customers);
  const seller = new Client(shop.url, customers[0]?.token);
  const categoryIds: number[] = [];
  for (let at = 1; at <= stock.categories; at += 1) {
    const { createCategory } = await seller.ask<{ createCategory: { id: number } }>(
      "mutation ($input: CreateCategoryInput!) { createCategory(input: $input) { id } }",
      { input: { name: `Stall ${at}`, description: `What is sold at stall ${at}.` } },
    );
    categoryIds.push(createCategory.id);
  }
  const productIds: number[] = [];
  let begun = 0;
  await times(CREATED_AT_ONCE, async () => {
    while (begun < stock.products) {
      begun += 1;
      const at = begun;
      const input = {
        name: `Acacia honey from hive ${at}`,
        price: (100 + (at % 5_000)) / 100,
        imageUrl: `/images/hive-${at}.jpg`,
        unitsAvailable: UNITS,
        categoriesIds: [categoryIds[at % categoryIds.length]],
      };
      const { createProduct } = await seller.ask<{ createProduct: { id: number } }>(
        "mutation ($input: CreateProductInput!) { createProduct(input: $input) { id } }",
        { input },
      );
      productIds.push(createProduct.id);
    }
  });
  return { url: shop.url, productIds: productIds.sort((a, b) => a - b), categoryIds, customers };
}

async function register(shop: Shop, count: number): Promise<Customer[]> {
  const customers: Customer[] = [];
  let begun = 0;
  await times(REGISTERED_AT_ONCE, async () => {
    while (begun < count) {
      begun += 1;
      const client = shop.client();
      const who = await client.becomeNewUser();
      customers.push({ ...who, token: client.token as string });
    }
  });
  return customers;
}

const times = (count: number, work: () => Promise<void>): Promise<unknown> =>
  Promise.all(Array.from({ length: count }, work));
