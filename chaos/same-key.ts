// One wish, sent many times at once while answers are lost: one order, one charge, one id.
import { randomUUID } from "node:crypto";
import { Random } from "@piata/testkit/random";
import type { Check } from "./audit.ts";
import { change, Journal } from "./journal.ts";
import { offerAll, register } from "./market.ts";
import { repeatOrder, sendOrder, watchOrder } from "./ordering.ts";
import type { Row } from "./report.ts";
import type { System } from "./system.ts";

/** Whose answers are lost: every call on the way of an order. */
const LOST_FROM = ["gateway", "order", "cart", "payment"];
const METHODS = ["success", "answer-lost", "answer-lost-before", "slow"];
const PLENTY = 1_000_000;

export interface SameKeyOptions {
  readonly seed: number;
  readonly rounds: number;
  readonly atOnce: number;
}

export interface SameKey {
  readonly journal: Journal;
  readonly rows: readonly Row[];
  readonly checks: readonly Check[];
}

export async function sameKey(system: System, options: SameKeyOptions): Promise<SameKey> {
  const { seed, rounds, atOnce } = options;
  const random = new Random(seed);
  const journal = new Journal();
  const { client, userId } = await register(system);
  const [product] = await offerAll(client, [PLENTY]);
  if (product === undefined) throw new Error("There is nothing for sale.");
  journal.products.push(product);
  const shopper = journal.newShopper(userId);
  const start = performance.now();
  for (let round = 0; round < rounds; round += 1) {
    await client.ask("mutation ($input: CartItemInput!) { addToCart(input: $input) }", {
      input: { productId: product.id, quantity: 1 },
    });
    change(shopper, product.id, 1, true);
    const purchase = journal.newPurchase(userId, randomUUID(), random.pick(METHODS));
    const dropping = dropAnswers(system, random);
    const sending = Array.from({ length: atOnce }, async () => {
      if (await sendOrder(client, journal, purchase)) return;
      await repeatOrder(client, journal, purchase);
    });
    await Promise.all(sending);
    await dropping;
    await watchOrder(client, journal, purchase);
  }
  const seconds = (performance.now() - start) / 1_000;
  return {
    journal,
    rows: [
      ["rounds", `${rounds}, each ${atOnce} times at once`],
      ["calls that were lost and repeated", String(journal.repeats)],
      ["seconds", seconds.toFixed(1)],
    ],
    checks: [allAnsweredAlike(journal, atOnce)],
  };
}

/** At one of the wires, a moment after the calls have begun. */
async function dropAnswers(system: System, random: Random): Promise<void> {
  const proxy = system.proxies.get(random.pick(LOST_FROM));
  if (proxy === undefined) throw new Error("Without proxies no answer can be lost.");
  await proxy.dropAnswers(random.integer(20, 400));
}

function allAnsweredAlike({ purchases }: Journal, atOnce: number): Check {
  const differences = purchases.flatMap(({ key, orderIds, states }) => {
    const ids = new Set(orderIds);
    if (ids.size === 1 && orderIds.length === atOnce && states.at(-1) === "PAID") return [];
    return [`key ${key}: ${orderIds.length} answers, orders ${[...ids]}, ${states.at(-1)}`];
  });
  const what = `each key was answered ${atOnce} times with one id, and paid`;
  return { what, compared: purchases.length, differences };
}
