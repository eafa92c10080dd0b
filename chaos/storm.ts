// The main run: many customers buy while everything fails.

import { Random } from "@piata/testkit/random";
import { Customer, Wanted } from "./customer.ts";
import { type Disturbance, Faults } from "./faults.ts";
import { Journal, type Purchase } from "./journal.ts";
import { Range, register, registerAll } from "./market.ts";
import { type Plan, planFaults } from "./schedule.ts";
import { Staff } from "./staff.ts";
import type { System } from "./system.ts";

export interface StormOptions extends Plan {
  readonly clients: number;
  /** How long customers may take together. */
  readonly secondsMax: number;
}

export interface Storm {
  readonly journal: Journal;
  readonly disturbances: readonly Disturbance[];
  /** From the first cart to the last final order. */
  readonly seconds: number;
  readonly isOutOfTime: boolean;
}

export async function storm(
  system: System,
  options: StormOptions,
  said: (text: string) => void,
): Promise<Storm> {
  const faults = new Faults(system, planFaults(options), said);
  const journal = new Journal((orders) => faults.reached(orders));
  const offers = await mutationsOf(system);
  const { client: seller } = await register(system);
  const range = await Range.open(seller, options.orders);
  journal.products.push(...range.products);
  const staff = offers.has("refundOrder") ? await Staff.hire(system, journal) : undefined;
  const people = await registerAll(system, options.clients);
  const timeUp = new AbortController();
  const timer = setTimeout(() => timeUp.abort(), options.secondsMax * 1_000);
  const start = performance.now();
  const wanted = new Wanted(options.orders);
  try {
    await Promise.all(
      people.map(async (person, index) => {
        let first: typeof person | undefined = person;
        const customer = await Customer.come({
          journal,
          range,
          random: new Random(options.seed * 10_007 + index),
          staff,
          canCancel: offers.has("cancelOrder"),
          register: async () => {
            const known = first ?? (await register(system));
            first = undefined;
            return known;
          },
          wanted,
          signal: timeUp.signal,
        });
        await customer.shop();
      }),
    );
  } finally {
    clearTimeout(timer);
    await faults.stop();
  }
  if (faults.failures.length > 0) throw new AggregateError(faults.failures, "faults failed");
  const { disturbances } = faults;
  const seconds = (performance.now() - start) / 1_000;
  return { journal, disturbances, seconds, isOutOfTime: timeUp.signal.aborted };
}

/** What this shop can do. */
async function mutationsOf(system: System): Promise<Set<string>> {
  const { __schema } = await system
    .client()
    .ask<{ __schema: { mutationType: { fields: { name: string }[] } } }>(
      "{ __schema { mutationType { fields { name } } } }",
    );
  return new Set(__schema.mutationType.fields.map(({ name }) => name));
}

/** Milliseconds from the first call to the final state, as the customers saw them. */
export function latencies(purchases: readonly Purchase[]): number[] {
  return purchases.flatMap(({ startMs, endMs }) => (endMs === undefined ? [] : [endMs - startMs]));
}

/** Those purchases during which nothing was wrong. */
export function undisturbed({ journal, disturbances }: Storm): Purchase[] {
  return journal.purchases.filter(({ startMs, endMs = Number.POSITIVE_INFINITY }) =>
    disturbances.every(
      (one) => one.startMs > endMs || (one.endMs ?? Number.POSITIVE_INFINITY) < startMs,
    ),
  );
}

/** Those purchases that were under way when an order worker was killed. */
export function orphaned({ journal, disturbances }: Storm): Purchase[] {
  const kills = disturbances.filter(
    ({ fault: { kind, target } }) => kind === "kill" && target === "order",
  );
  return journal.purchases.filter(({ startMs, endMs = Number.POSITIVE_INFINITY }) =>
    kills.some((kill) => startMs < kill.startMs && kill.startMs < endMs),
  );
}
