// The real system, started by its launcher on a data folder of its own, with proxies between its programs.
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@piata/testkit/client";
import { isAlive, type Shop, type ShopProcess, startShop } from "@piata/testkit/shop";
import { until } from "@piata/testkit/until";
import pg from "pg";
import { FaultyProxy } from "./proxy.ts";
import { PROXIED } from "./schedule.ts";

const BACK_TIMEOUT_MS = 90_000;

/** What is set otherwise than for a shop: printed by every run. */
export const RAISED: Readonly<Record<string, string>> = {
  // One seller makes all the products, and nobody signs in a second time.
  CATALOG_WRITES_PER_DAY: "1000000",
  ACCESS_TOKEN_SECONDS: "3600",
  // Thousands register at once.
  ACCESS_PASSWORD_CHECKS_WAITING: "1000",
  PAYMENT_SANDBOX_SLOW_MS: "300",
};

export interface SystemOptions {
  readonly replicas: Readonly<Record<string, number>>;
  readonly hasProxies: boolean;
  readonly env?: NodeJS.ProcessEnv;
}

export class System {
  readonly dataDir: string;
  readonly shop: Shop;
  readonly proxies: ReadonlyMap<string, FaultyProxy>;
  readonly #instances: Instances;

  private constructor(shop: Shop, instances: Instances, proxies: ReadonlyMap<string, FaultyProxy>) {
    this.dataDir = shop.dataDir;
    this.shop = shop;
    this.#instances = instances;
    this.proxies = proxies;
  }

  static async start({ replicas, hasProxies, env = {} }: SystemOptions): Promise<System> {
    const dataDir = await mkdtemp(join(tmpdir(), "piata-chaos-"));
    // PostgreSQL may run as another user, who has to get to its folder.
    await chmod(dataDir, 0o711);
    const instances = new Instances(dataDir);
    const proxies = new Map<string, FaultyProxy>();
    try {
      for (const name of hasProxies ? PROXIED : []) {
        const dial = (lane: number) => instances.addressOf(name, lane);
        proxies.set(name, await FaultyProxy.listen(replicas[name] ?? 1, dial));
      }
      const targets = [...proxies].map(([name, { addresses }]) => [
        `${name.toUpperCase()}_TARGET`,
        `ipv4:${addresses.join(",")}`,
      ]);
      const settings = { ...RAISED, ...Object.fromEntries(targets), ...env };
      const shop = await startShop({ dataDir, replicas, env: settings });
      await instances.learn();
      return new System(shop, instances, proxies);
    } catch (error) {
      for (const proxy of proxies.values()) await proxy.close();
      await rm(dataDir, { recursive: true, force: true });
      throw error;
    }
  }

  /** Where customers go: through the gateway's proxy, if it has one. */
  get url(): string {
    const [address] = this.proxies.get("gateway")?.addresses ?? [];
    return address === undefined ? this.shop.url : `http://${address}/graphql`;
  }

  client(token?: string): Client {
    return new Client(this.url, token);
  }

  /** The process that is an instance of a program now; waits while it is being started again. */
  process(name: string, instance: number): Promise<ShopProcess> {
    return until(async () => (await this.#instances.find(name, instance)) ?? false, {
      timeoutMs: BACK_TIMEOUT_MS,
      what: `${name} (${instance + 1}) to run`,
    });
  }

  /** Until another process serves in the place of this one. */
  async waitBack(name: string, instance: number, before: ShopProcess): Promise<void> {
    await until(
      async () => {
        const now = await this.#instances.find(name, instance);
        if (now === undefined || now.pid === before.pid) return false;
        if (now.httpAddress === undefined) return true;
        const signal = AbortSignal.timeout(2_000);
        return (await fetch(`http://${now.httpAddress}/healthz`, { signal })).ok;
      },
      { timeoutMs: BACK_TIMEOUT_MS, what: `${name} (${instance + 1}) to be back` },
    );
  }

  /** A connection to a service's own database, with the service's role. */
  async database(service: string): Promise<pg.Client> {
    const connectionString = await this.shop.databaseUrl(service);
    const client = new pg.Client({ connectionString });
    // Without a listener, the end of the server would end this process.
    client.on("error", () => undefined);
    await client.connect();
    return client;
  }

  async stop({ keep }: { keep: boolean }): Promise<void> {
    try {
      await this.shop.stop();
    } finally {
      for (const proxy of this.proxies.values()) await proxy.close();
      if (!keep) await rm(this.dataDir, { recursive: true, force: true });
    }
  }
}

/** Which process is which instance, by run.json. An instance keeps its address when it is restarted. */
class Instances {
  readonly #runFile: string;
  #addresses: ReadonlyMap<string, readonly string[]> = new Map();

  constructor(dataDir: string) {
    this.#runFile = join(dataDir, "run.json");
  }

  async learn(): Promise<void> {
    const byName = Map.groupBy(await this.#processes(), ({ name }) => name);
    this.#addresses = new Map(
      [...byName].map(([name, rows]) => [name, rows.map(({ address }) => address)]),
    );
  }

  async find(name: string, instance: number): Promise<ShopProcess | undefined> {
    const found = (await this.#processes()).find(
      (row) => row.name === name && row.instance === instance + 1,
    );
    return found !== undefined && isAlive(found.pid) ? found : undefined;
  }

  /** Undefined while it is not known, before everything has started. */
  async addressOf(name: string, instance: number) {
    if (this.#addresses.size === 0) await this.learn().catch(() => undefined);
    const [host, port] = this.#addresses.get(name)?.[instance]?.split(":") ?? [];
    return host === undefined ? undefined : { host, port: Number(port) };
  }

  async #processes(): Promise<ShopProcess[]> {
    const run = JSON.parse(await readFile(this.#runFile, "utf8")) as { processes: ShopProcess[] };
    return run.processes;
  }
}
