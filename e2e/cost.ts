// node e2e/cost.ts [ORDERS [BUYERS]]: what a whole purchase costs, in CPU time of each program and of PostgreSQL
// on behalf of each. docs/scaling.md goes on from there. Linux only: it reads /proc.
//
// A purchase is: look at a product, put it into the cart, order, ask for the order until it is PAID.
// The shop is a new one, on one machine, with its load beside it; the load's own CPU is not counted.
import { readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "@piata/testkit/client";
import { LoadClient } from "@piata/testkit/load-generator";
import { type Cpu, Processes, spent, sum } from "@piata/testkit/processes";
import { type Shop, startShop } from "@piata/testkit/shop";
import { customers, offer, rows } from "./market.ts";

const PRODUCTS = 100;
const ORDERS = 6_000;
/** At once. The more there are, the more of them share a batch, and the less each costs. */
const BUYERS = 256;
/** How often a buyer asks how the order is. */
const ASK_MS = 250;

export interface Cost {
  orders: number;
  buyers: number;
  perSecond: number;
  /** Requests to the gateway for one order. */
  requests: number;
  /** CPU ms for one order: of each program, and of PostgreSQL by role ("postgres order"). */
  cpuMs: ReadonlyMap<string, number>;
  /** CPU ms of the whole shop for one customer who registers and signs in. */
  customerMs: number;
  /** Resident memory at the end, in MiB, by program. */
  memoryMiB: ReadonlyMap<string, number>;
  /** By database: what an order adds to it, and how many transactions it is. */
  databases: ReadonlyMap<string, Growth>;
  /** Bytes of PostgreSQL's log for an order, of all databases. */
  walBytes: number;
}

interface Growth {
  bytes: number;
  /** PostgreSQL tells them some seconds late, so that a short run sees too few. */
  commits: number;
}

/** CPU time until now, by program, and of PostgreSQL by the role that it works for. */
async function cpuOf(shop: Shop): Promise<Cpu> {
  return new Processes(await shop.processes()).cpu();
}

interface Buyer {
  token: string | undefined;
  client: LoadClient;
}

async function ask<T>(
  { client, token }: Buyer,
  query: string,
  variables: Record<string, unknown> = {},
): Promise<T> {
  const answer = await client.post(JSON.stringify({ query, variables }), token);
  const { data, errors } = JSON.parse(answer.body()) as { data?: T; errors?: unknown };
  if (answer.status !== 200 || errors || !data) throw new Error(answer.body());
  return data;
}

// Values are variables, as clients send them: a text that is another one each time is parsed, validated
// and interpreted each time.
const LOOK = "query ($id: Float!) { product(id: $id) { name price unitsAvailable } }";
const ADD = "mutation ($input: CartItemInput!) { addToCart(input: $input) }";
const ORDER = "mutation { initOrder { orderId } }";
const STATUS = "query ($id: Float!) { orderStatus(orderId: $id) { value } }";

/** One whole purchase; resolves to how many requests it took. */
async function buy(buyer: Buyer, productId: number): Promise<number> {
  await ask(buyer, LOOK, { id: productId });
  await ask(buyer, ADD, { input: { productId, quantity: 1 } });
  const { initOrder } = await ask<{ initOrder: { orderId: number } }>(buyer, ORDER);
  for (let requests = 4; ; requests += 1) {
    const { orderStatus } = await ask<{ orderStatus: { value: string } }>(buyer, STATUS, {
      id: initOrder.orderId,
    });
    if (orderStatus.value === "PAID") return requests;
    if (!["CREATED", "APPROVED"].includes(orderStatus.value)) throw new Error(orderStatus.value);
    await pause(ASK_MS);
  }
}

async function buyAll(buyers: Buyer[], products: number[], orders: number): Promise<number> {
  let begun = 0;
  let requests = 0;
  await Promise.all(
    buyers.map(async (buyer) => {
      while (begun < orders) {
        begun += 1;
        const count = await buy(buyer, products[begun % products.length] as number);
        requests += count;
      }
    }),
  );
  return requests;
}

export async function measure(orders: number, buyersMax = BUYERS): Promise<Cost> {
  const shop = await startShop();
  const client = new LoadClient(shop.url);
  try {
    const idle = await cpuOf(shop);
    const people = await customers(shop, Math.min(buyersMax, Math.ceil(orders / 4)));
    const signedIn = sum(spent(await cpuOf(shop), idle).values());
    const buyers = people.map(({ token }) => ({ token, client }));
    const products: number[] = [];
    const [seller] = people as [Client];
    for (let at = 0; at < PRODUCTS; at += 1) products.push(await offer(seller, 1_000_000));
    // What is compiled and connected at first is not what an order costs.
    await buyAll(buyers, products, Math.ceil(orders / 4));
    const before = await cpuOf(shop);
    const grown = await databasesOf(shop);
    const startMs = performance.now();
    const requests = await buyAll(buyers, products, orders);
    const tookMs = performance.now() - startMs;
    const used = spent(await cpuOf(shop), before);
    const now = await databasesOf(shop);
    return {
      orders,
      buyers: buyers.length,
      perSecond: (orders * 1_000) / tookMs,
      requests: requests / orders,
      cpuMs: new Map([...used].map(([name, us]) => [name, us / 1_000 / orders])),
      customerMs: signedIn / 1_000 / people.length,
      memoryMiB: await memoryOf(shop),
      databases: new Map(
        [...now.of].map(([name, { bytes, commits }]) => {
          const { bytes: bytesThen = 0, commits: commitsThen = 0 } = grown.of.get(name) ?? {};
          return [
            name,
            { bytes: (bytes - bytesThen) / orders, commits: (commits - commitsThen) / orders },
          ];
        }),
      ),
      walBytes: (now.walBytes - grown.walBytes) / orders,
    };
  } finally {
    client.close();
    await shop.stop();
  }
}

async function databasesOf(shop: Shop): Promise<{ of: Map<string, Growth>; walBytes: number }> {
  const of = new Map<string, Growth>();
  let walBytes = 0;
  for (const service of ["catalog", "cart", "order", "payment"]) {
    const [row] = await rows(
      shop,
      service,
      `select pg_database_size(datname) as bytes, xact_commit as commits,
              pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') as wal
         from pg_stat_database where datname = current_database()`,
    );
    of.set(service, { bytes: Number(row?.bytes), commits: Number(row?.commits) });
    walBytes = Number(row?.wal);
  }
  return { of, walBytes };
}

async function memoryOf(shop: Shop): Promise<Map<string, number>> {
  const memory = new Map<string, number>();
  for (const { name, pid } of await shop.processes()) {
    if (name === "postgres") continue;
    const [, kib] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    memory.set(name, Number(kib) / 1024);
  }
  return memory;
}

const table = (values: ReadonlyMap<string, number>, digits: number): string =>
  [...values].map(([name, value]) => `  ${name.padEnd(18)} ${value.toFixed(digits)}`).join("\n");

export function report(cost: Cost): string {
  const databases = [...cost.databases].map(
    ([name, { bytes, commits }]) =>
      `  ${name.padEnd(18)} ${commits.toFixed(1)} transactions, ${bytes.toFixed(0)} bytes`,
  );
  return [
    `${cost.orders} orders, ${cost.perSecond.toFixed(0)}/s, ${cost.requests.toFixed(1)} requests each, ${cost.buyers} buyers at once`,
    `machine: ${availableParallelism()} CPUs, ${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
    `CPU ms per order: ${sum(cost.cpuMs.values()).toFixed(2)}`,
    table(cost.cpuMs, 2),
    `CPU ms per customer who registers and signs in: ${cost.customerMs.toFixed(0)}`,
    "databases, per order",
    ...databases,
    `  ${"log".padEnd(18)} ${cost.walBytes.toFixed(0)} bytes`,
    "memory, MiB",
    table(cost.memoryMiB, 0),
  ].join("\n");
}

if (import.meta.main) {
  const [orders, buyers] = [process.argv[2] ?? ORDERS, process.argv[3] ?? BUYERS].map(Number);
  if (!orders || !buyers || !Number.isInteger(orders) || !Number.isInteger(buyers)) {
    console.error("Usage: node e2e/cost.ts [ORDERS [BUYERS]]");
    process.exit(1);
  }
  console.log(report(await measure(orders, buyers)));
}
