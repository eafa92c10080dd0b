// Steady load as a shop has it: people who look, fill their cart, buy and ask for their order, at a
// pace that the machine can keep. None of them tries anything again: what is lost is seen.
import { setTimeout as pause } from "node:timers/promises";
import { LoadClient } from "@piata/testkit/load-generator";
import type { Shop } from "@piata/testkit/shop";
import { customers, offer } from "./market.ts";

const PAUSE_MS = 40;
const UNITS = 1_000_000;

/** Something that was asked for and not answered as it should. */
interface Loss {
  readonly what: string;
  /** When the answer came, on performance.now()'s clock. */
  readonly atMs: number;
}

export interface Outcome {
  readonly answered: number;
  readonly bought: number;
  readonly lost: readonly Loss[];
  /** The longest that anybody waited for an answer, in ms. */
  readonly slowestMs: number;
}

export interface Shoppers {
  /** How many requests were answered so far. */
  answered(): number;
  /** Those who are at it finish, and all go home. */
  end(): Promise<Outcome>;
}

/** Opens the doors to so many people, who come and go until they are asked to leave. */
export async function startShoppers(shop: Shop, count: number): Promise<Shoppers> {
  const people = await customers(shop, count);
  const seller = people[0];
  if (seller === undefined) throw new Error("nobody came");
  const productId = await offer(seller, UNITS);
  const client = new LoadClient(shop.url);
  const lost: Loss[] = [];
  let [answered, bought, slowestMs] = [0, 0, 0];
  let isOver = false;

  async function ask<Data>(query: string, token?: string): Promise<Data | undefined> {
    const start = performance.now();
    let what: string;
    try {
      const { status, body } = await client.post(JSON.stringify({ query }), token);
      const { data, errors } = JSON.parse(body()) as { data: Data; errors?: unknown };
      slowestMs = Math.max(slowestMs, performance.now() - start);
      if (status === 200 && errors === undefined) {
        answered += 1;
        return data;
      }
      what = `${status} ${JSON.stringify(errors)}`;
    } catch (error) {
      what = (error as Error).message;
    }
    const tookMs = Math.round(performance.now() - start);
    lost.push({ what: `${query} after ${tookMs} ms: ${what}`, atMs: performance.now() });
    return undefined;
  }

  async function visit(token: string): Promise<void> {
    await ask(`{ product(id: ${productId}) { name price unitsAvailable } }`);
    await ask("{ categories { id name } }");
    const input = `{ productId: ${productId}, quantity: 1 }`;
    await ask(`mutation { addToCart(input: ${input}) }`, token);
    await ask("{ cart { lines { quantity product { name } } } }", token);
    const placed = await ask<{ initOrder: { orderId: number } }>(
      "mutation { initOrder { orderId } }",
      token,
    );
    if (placed === undefined) return;
    bought += 1;
    const { orderId } = placed.initOrder;
    await ask(`{ orderStatus(orderId: ${orderId}) { value reason } }`, token);
  }

  const visits = people.map(async ({ token = "" }) => {
    while (!isOver) {
      await visit(token);
      await pause(PAUSE_MS);
    }
  });
  return {
    answered: () => answered,
    async end() {
      isOver = true;
      await Promise.all(visits);
      client.close();
      return { answered, bought, lost, slowestMs };
    },
  };
}
