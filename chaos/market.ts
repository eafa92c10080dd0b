// What is for sale in a run, and who comes to buy.
import { randomUUID } from "node:crypto";
import type { Client } from "@piata/testkit/client";
import type { Random } from "@piata/testkit/random";
import { until } from "@piata/testkit/until";
import type { Product } from "./journal.ts";
import type { System } from "./system.ts";

const AT_ONCE = 8;
const REGISTER_TIMEOUT_MS = 120_000;
const PLENTY = 1_000_000;

/** The products of a run: some that everybody wants, some that are nearly sold out. */
export class Range {
  readonly products: readonly Product[];
  readonly #hot: readonly number[];
  readonly #spread: readonly number[];
  readonly #scarce: readonly number[];

  private constructor(hot: Product[], spread: Product[], scarce: Product[]) {
    this.products = [...hot, ...spread, ...scarce];
    [this.#hot, this.#spread, this.#scarce] = [hot, spread, scarce].map((group) =>
      group.map(({ id }) => id),
    ) as [number[], number[], number[]];
  }

  static async open(seller: Client, orders: number): Promise<Range> {
    const few = Math.max(2, Math.ceil(orders / 200));
    const hot = await offerAll(seller, Array(3).fill(PLENTY));
    const spread = await offerAll(seller, Array(60).fill(PLENTY));
    const scarce = await offerAll(seller, Array(12).fill(few));
    return new Range(hot, spread, scarce);
  }

  pick(random: Random): number {
    const kind = random.next();
    if (kind < 0.35) return random.pick(this.#hot);
    return random.pick(kind < 0.95 ? this.#spread : this.#scarce);
  }
}

/** A product for each number of units; each costs something else. */
export async function offerAll(seller: Client, units: readonly number[]): Promise<Product[]> {
  const products: Product[] = [];
  for (let from = 0; from < units.length; from += AT_ONCE) {
    const some = units.slice(from, from + AT_ONCE);
    products.push(...(await Promise.all(some.map((count, at) => offer(seller, count, from + at)))));
  }
  return products;
}

async function offer(seller: Client, units: number, place: number): Promise<Product> {
  const { createProduct } = await seller.ask<{ createProduct: { id: number } }>(
    "mutation ($input: CreateProductInput!) { createProduct(input: $input) { id } }",
    {
      input: {
        name: `Thing ${place}`,
        price: (199 + place * 7) / 100,
        unitsAvailable: units,
        categoriesIds: [],
      },
    },
  );
  return { id: createProduct.id, units };
}

/** Somebody new, also while programs come and go. */
export async function register(system: System): Promise<{ client: Client; userId: number }> {
  const client = system.client();
  const input = { email: `${randomUUID()}@example.com`, password: randomUUID() };
  const patient = { timeoutMs: REGISTER_TIMEOUT_MS, what: "somebody to be registered" };
  await until(async () => {
    const { errors } = await client.graphql(
      "mutation ($input: RegisterUserInput!) { registerUser(input: $input) }",
      { input },
    );
    // An earlier call whose answer was lost has done it.
    return errors.length === 0 || errors[0]?.extensions?.reason === "EMAIL_TAKEN";
  }, patient);
  await until(async () => {
    await client.login(input);
    return true;
  }, patient);
  const userId = await until(
    async () => (await client.ask<{ me: { id: number } }>("{ me { id } }")).me.id,
    patient,
  );
  return { client, userId };
}

/** Many new people, some at a time: passwords are expensive on purpose. */
export async function registerAll(
  system: System,
  count: number,
): Promise<{ client: Client; userId: number }[]> {
  const people: { client: Client; userId: number }[] = [];
  let left = count;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (left > 0) {
        left -= 1;
        people.push(await register(system));
      }
    }),
  );
  return people;
}
