// The regression guard: what the hot paths cost, as ratios and counts that hold on any machine, however busy
// it is. No figure is a time: CPU is told in that of a bare node:http server in the same rounds.
import { until } from "@piata/testkit/until";
import { Bench, type Sample, shopCpuUs } from "./bench.ts";
import { median } from "./results.ts";
import type { Scenario } from "./scenarios.ts";

export interface Costs {
  /** CPU of gateway, catalog and its PostgreSQL for a product, in bare requests. */
  readonly read: number;
  /** CPU of the whole shop for a purchase from the cart to PAID, in bare requests. */
  readonly purchase: number;
  /** Calls between programs for one purchase that is alone. */
  readonly callsAlone: number;
  /** Transactions that write, for one purchase that is alone. */
  readonly transactionsAlone: number;
  /** The same for each of many purchases at once, which share them. */
  readonly transactionsShared: number;
}

interface Limit {
  readonly most: number;
  readonly what: string;
  readonly advice: string;
}

const PROFILE =
  "Profile the program that grew (docs/performance.md says how). If it has to cost more, raise the limit and say why.";

/** About twice what was measured: `node --test bench/guard.test.ts` prints what it is now. */
export const LIMITS: Readonly<Record<keyof Costs, Limit>> = {
  read: { most: 10, what: "CPU of a product by id, in bare node:http requests", advice: PROFILE },
  purchase: {
    most: 400,
    what: "CPU of a whole purchase, in bare node:http requests",
    advice: PROFILE,
  },
  callsAlone: {
    most: 20,
    what: "calls between programs for one purchase",
    advice: "A step asks for something that it was given, or asks twice.",
  },
  transactionsAlone: {
    most: 20,
    what: "transactions that write for one purchase",
    advice: "Each is a wait for the disk: a step writes what another one could write with it.",
  },
  transactionsShared: {
    most: 4,
    what: "transactions that write for each of many purchases at once",
    advice: "Steps no longer share batches: a statement went past its coalescer.",
  },
};

/** What costs more than it may, in words; empty when all is well. */
export function tooMuch(costs: Costs): string[] {
  return Object.entries(LIMITS).flatMap(([name, { most, what, advice }]) => {
    const found = costs[name as keyof Costs];
    if (found <= most) return [];
    return `${what}: ${found.toFixed(1)}, and may be ${most}. ${advice}`;
  });
}

const bare: Scenario = { name: "bare", title: "", kind: { flow: "bare", world: "bare" } };
const product: Scenario = { name: "product", title: "", kind: { flow: "product", world: "shop" } };
const purchase: Scenario = {
  name: "purchase",
  title: "",
  kind: { flow: "purchase", world: "shop" },
};

const STOCK = { products: 100, categories: 5, customers: 32 };
const READERS = 32;
const LEAD_MS = 150;
const READ_MS = 500;
/** A purchase takes long where the machine is busy. */
const PURCHASE_MS = 1_000;
const ROUNDS = 3;
/** Enough for the compiler to have seen what is hot; a machine that is busy takes longer. */
const WARM = { product: 5_000, purchase: 400, bare: 5_000 };
const WARM_ROUNDS_MAX = 6;
const REST_TIMEOUT_MS = 30_000;
const READ_PARTS = new Set(["gateway", "catalog", "postgres catalog", "all programs"]);

/** Measures a small shop of its own, in some 20 seconds. */
export async function costs(env: NodeJS.ProcessEnv = {}): Promise<Costs> {
  const bench = await Bench.open({ compact: false, stock: STOCK, env, isRestarted: false });
  try {
    await bench.begin();
    await warmUp(bench, bare, WARM.bare);
    await warmUp(bench, product, WARM.product);
    await warmUp(bench, purchase, WARM.purchase);
    const [reads, purchases]: [number[], number[]] = [[], []];
    const shared = await counted(bench, async () => {
      for (let round = 0; round < ROUNDS; round += 1) {
        const limit = shopCpuUs(await rightRound(bench, bare, READERS));
        reads.push(readCpuUs(await rightRound(bench, product, READERS)) / limit);
        purchases.push(shopCpuUs(await rightRound(bench, purchase, READERS)) / limit);
      }
    });
    const alone = await counted(bench, () => rightRound(bench, purchase, 1));
    return {
      read: median(reads),
      purchase: median(purchases),
      callsAlone: alone.calls,
      transactionsAlone: alone.transactions,
      transactionsShared: shared.transactions,
    };
  } finally {
    await bench.close();
  }
}

async function warmUp(bench: Bench, scenario: Scenario, count: number): Promise<void> {
  let done = 0;
  for (let round = 0; round < WARM_ROUNDS_MAX && done < count; round += 1) {
    const { perSecond } = await rightRound(bench, scenario, READERS);
    done += (perSecond * msOf(scenario)) / 1_000;
  }
}

const msOf = ({ name }: Scenario): number => (name === purchase.name ? PURCHASE_MS : READ_MS);

/** Throws when the shop answered anything wrongly: what is not done costs nothing. */
async function rightRound(bench: Bench, scenario: Scenario, connections: number): Promise<Sample> {
  const span = { leadMs: LEAD_MS, ms: msOf(scenario) };
  const sample = await bench.round(scenario, connections, span);
  if (sample.errors === 0) return sample;
  throw new Error(`${scenario.name}: ${sample.errors} wrong answers: ${sample.errorTexts.join()}`);
}

const readCpuUs = ({ cpuUs }: Sample): number =>
  [...cpuUs].reduce((sum, [name, us]) => sum + (READ_PARTS.has(name) ? us : 0), 0);

/** Calls and transactions per purchase, of all purchases between two moments of rest. */
async function counted(
  bench: Bench,
  work: () => Promise<unknown>,
): Promise<{ calls: number; transactions: number }> {
  const before = await countsOf(bench);
  await work();
  const after = await countsOf(bench);
  const orders = after.orders - before.orders;
  return {
    calls: (after.calls - before.calls) / orders,
    transactions: (after.transactions - before.transactions) / orders,
  };
}

async function countsOf({
  system,
}: Bench): Promise<{ orders: number; calls: number; transactions: number }> {
  const url = await system.shop.databaseUrl("order");
  await until(
    async () => {
      const sql = "select 1 from orders where next_try_at is not null limit 1";
      return (await system.rows(url, sql)).length === 0;
    },
    { timeoutMs: REST_TIMEOUT_MS, what: "every order to have answered its last obligation" },
  );
  // An id is given to each transaction that writes, in whatever database of the server.
  const [row] = await system.rows(
    url,
    `select count(*) as orders, pg_snapshot_xmax(pg_current_snapshot()) as transactions
       from orders where state = 'PAID'`,
  );
  const calls = await system.calls();
  return { orders: Number(row?.orders), calls, transactions: Number(row?.transactions) };
}
