// A flash sale: more buyers than units. On one product, and the same spread over as many products as units.
import { randomUUID } from "node:crypto";
import type { Client } from "@piata/testkit/client";
import type { Check } from "./audit.ts";
import { readBooks } from "./books.ts";
import { change, Journal, type Product, type Purchase, type Shopper } from "./journal.ts";
import { offerAll, register, registerAll } from "./market.ts";
import { repeatOrder, sendOrder, watchOrder } from "./ordering.ts";
import { listed, type Row, spread, tally } from "./report.ts";
import { latencies } from "./storm.ts";
import type { System } from "./system.ts";

/** What a run on one product may cost, against the same run without contention. */
const RATIO_MIN = 0.8;
/** Each kind of sale so often, in turn, so that neither has the warmer programs. */
const TIMES = 2;

export interface FlashOptions {
  readonly buyers: number;
  readonly units: number;
  readonly atOnce: number;
}

export interface Flash {
  readonly journal: Journal;
  readonly rows: readonly Row[];
  readonly checks: readonly Check[];
}

interface Buyer {
  readonly client: Client;
  readonly shopper: Shopper;
}

interface Sale {
  readonly purchases: readonly Purchase[];
  readonly seconds: number;
  readonly products: readonly Product[];
}

export async function flash(
  system: System,
  options: FlashOptions,
  said: (text: string) => void,
): Promise<Flash> {
  const { buyers: count, units, atOnce } = options;
  const journal = new Journal();
  const { client: seller } = await register(system);
  const offered = async (unitsEach: readonly number[]) => {
    const products = await offerAll(seller, unitsEach);
    journal.products.push(...products);
    return products;
  };
  said(`Registering ${count} buyers`);
  const people = await registerAll(system, count);
  const buyers = people.map(({ client, userId }) => ({
    client,
    shopper: journal.newShopper(userId),
  }));
  said("Warming up");
  const few = buyers.slice(0, Math.min(count, 2 * atOnce));
  await sell(journal, few, await offered([few.length]), atOnce);
  const [hot, wide]: [Sale[], Sale[]] = [[], []];
  for (let time = 1; time <= TIMES; time += 1) {
    said(`Sale ${time} of ${TIMES} on one product`);
    hot.push(await sell(journal, buyers, await offered([units]), atOnce));
    said(`Sale ${time} of ${TIMES} over ${units} products`);
    wide.push(await sell(journal, buyers, await offered(Array(units).fill(1)), atOnce));
  }
  const [hotRate, wideRate] = [rateOf(hot), rateOf(wide)];
  const ratio = hotRate / wideRate;
  return {
    journal,
    rows: [
      ["buyers", `${count}, ${atOnce} at once, for ${units} units`],
      ["on one product", saleText(hot)],
      [`over ${units} products`, saleText(wide)],
      ["orders/s on one product", hotRate.toFixed(1)],
      [`orders/s over ${units} products`, wideRate.toFixed(1)],
      ["ratio", ratio.toFixed(2)],
    ],
    checks: [await soldOut(system, [...hot, ...wide], units), fastEnough(ratio)],
  };
}

/** Everybody has one unit in the cart when the sale begins, and buys it when it is their turn. */
async function sell(
  journal: Journal,
  buyers: readonly Buyer[],
  products: readonly Product[],
  atOnce: number,
): Promise<Sale> {
  const placed = buyers.map((buyer, place) => {
    const { id } = products[place % products.length] as Product;
    return { buyer, productId: id };
  });
  await inTurn(placed, atOnce, async ({ buyer: { client, shopper }, productId }) => {
    await client.ask("mutation ($input: CartItemInput!) { addToCart(input: $input) }", {
      input: { productId, quantity: 1 },
    });
    change(shopper, productId, 1, true);
  });
  const purchases: Purchase[] = [];
  const start = performance.now();
  await inTurn(placed, atOnce, async ({ buyer: { client, shopper } }) => {
    const purchase = journal.newPurchase(shopper.userId, randomUUID(), "success");
    purchases.push(purchase);
    if (!(await sendOrder(client, journal, purchase))) {
      await repeatOrder(client, journal, purchase);
    }
    await watchOrder(client, journal, purchase);
  });
  const seconds = (performance.now() - start) / 1_000;
  // Whoever went away empty-handed has it in the cart again.
  await inTurn(placed, atOnce, async ({ buyer: { client, shopper }, productId }) => {
    const { errors } = await client.graphql(
      "mutation ($productId: Float!) { removeItem(productId: $productId) }",
      { productId },
    );
    if (errors.length === 0) change(shopper, productId, -1, true);
  });
  return { purchases, seconds, products };
}

async function inTurn<T>(
  things: readonly T[],
  atOnce: number,
  work: (thing: T) => Promise<void>,
): Promise<void> {
  const left = things.values();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const thing of left) await work(thing);
    }),
  );
}

function rateOf(sales: readonly Sale[]): number {
  const orders = sales.reduce((sum, { purchases }) => sum + purchases.length, 0);
  return orders / sales.reduce((sum, { seconds }) => sum + seconds, 0);
}

function saleText(sales: readonly Sale[]): string {
  const purchases = sales.flatMap((sale) => sale.purchases);
  const ends = listed(tally(purchases.map(({ states }) => states.at(-1) ?? "never shown")));
  const rates = sales.map((sale) => `${rateOf([sale]).toFixed(1)} orders/s`).join(", ");
  return `${ends}; ${rates}; ${spread(latencies(purchases))}`;
}

async function soldOut(system: System, sales: readonly Sale[], units: number): Promise<Check> {
  const { orders } = await readBooks(system.shop);
  const lines = orders.filter(({ state }) => state === "PAID").flatMap((order) => order.lines);
  const differences = sales.flatMap(({ products }, place) => {
    const ids = new Set(products.map(({ id }) => id));
    const sold = lines
      .filter(({ productId }) => ids.has(productId))
      .reduce((sum, { quantity }) => sum + quantity, 0);
    return sold === units ? [] : [`sale ${place + 1}: ${sold} units in PAID orders, not ${units}`];
  });
  const what = `every sale ended with exactly ${units} units in PAID orders`;
  return { what, compared: sales.length, differences };
}

function fastEnough(ratio: number): Check {
  const differences = ratio >= RATIO_MIN ? [] : [`the ratio is ${ratio.toFixed(2)}`];
  return { what: `one product is at least ${RATIO_MIN} as fast as many`, compared: 1, differences };
}
