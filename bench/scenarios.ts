// What is measured, and beside what. The scenarios of a group are measured in turns, one after the other in
// each round, so that what the machine does meanwhile happens to all of them.
import type { FlowName } from "./flows.ts";

export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Where the load goes to: `flow` on a world; or a limit that needs no shop. */
  readonly kind:
    | { readonly flow: FlowName; readonly world: WorldName; readonly beside?: FlowName }
    | { readonly limit: "argon2id" | "spread" | "hot" };
  /** The scenario of the same group that it is compared with: its limit, or what it depends on. */
  readonly against?: string;
}

export type WorldName = "shop" | "uncached" | "bare";

export interface Group {
  readonly name: string;
  readonly scenarios: readonly Scenario[];
  /** Other than what the caller asked for. */
  readonly connections?: readonly number[];
  /** Its rounds are so many times as long: what takes long is counted less often. */
  readonly times?: number;
}

export const FLOOD_CONNECTIONS = 64;

const bare: Scenario = {
  name: "bare",
  title: "limit: bare node:http, the same bytes",
  kind: { flow: "bare", world: "bare" },
};

const read = (flow: FlowName, title: string): Scenario => ({
  name: flow,
  title,
  kind: { flow, world: "shop" },
  against: bare.name,
});

export const GROUPS: readonly Group[] = [
  {
    name: "reads and carts",
    scenarios: [
      bare,
      read("product", "product by id (Zipf)"),
      read("products", "product list, 20 of a category"),
      read("categories", "categories"),
      read("cart", "cart of three lines"),
      read("add", "add to cart"),
    ],
  },
  {
    name: "sign-in",
    times: 1.5,
    scenarios: [
      { name: "argon2id", title: "limit: argon2id on all cores", kind: { limit: "argon2id" } },
      {
        name: "login",
        title: "login",
        kind: { flow: "login", world: "shop" },
        against: "argon2id",
      },
    ],
  },
  {
    name: "purchases",
    times: 1.5,
    scenarios: [
      {
        name: "transactions",
        title: "limit: order, line, stock in PostgreSQL, spread",
        kind: { limit: "spread" },
      },
      {
        name: "purchase",
        title: "whole purchase to PAID, spread",
        kind: { flow: "purchase", world: "shop" },
        against: "transactions",
      },
      {
        name: "transactions-hot",
        title: "limit: order, line, stock in PostgreSQL, one product",
        kind: { limit: "hot" },
      },
      {
        name: "purchase-hot",
        title: "whole purchase to PAID, one product",
        kind: { flow: "purchase-hot", world: "shop" },
        against: "transactions-hot",
      },
    ],
  },
  {
    name: "flood of logins",
    connections: [FLOOD_CONNECTIONS],
    times: 1.5,
    scenarios: [
      {
        name: "product-calm",
        title: "product by id, nothing beside it",
        kind: { flow: "product", world: "shop" },
      },
      {
        name: "product-flood",
        title: `product by id, ${FLOOD_CONNECTIONS} connections log in beside it`,
        kind: { flow: "product", world: "shop", beside: "login" },
        against: "product-calm",
      },
    ],
  },
  {
    name: "without the gateway's cache",
    scenarios: [
      { ...bare, name: "bare-beside" },
      {
        name: "product-uncached",
        title: "product by id, no cache in the gateway",
        kind: { flow: "product", world: "uncached" },
        against: "bare-beside",
      },
      {
        name: "add-beside",
        title: "add to cart",
        kind: { flow: "add", world: "shop" },
        against: "product-uncached",
      },
    ],
  },
];

/** The names that --only takes. */
export const SCENARIO_NAMES: readonly string[] = GROUPS.flatMap(({ scenarios }) =>
  scenarios.map(({ name }) => name),
);

/** The groups with only these scenarios, and those that they are compared with. */
export function groupsWith(only: readonly string[] | undefined): Group[] {
  if (only === undefined) return [...GROUPS];
  return GROUPS.map((group) => {
    const wanted = new Set(only);
    // What the compared is itself compared with comes first in the list.
    for (const { name, against } of group.scenarios.toReversed()) {
      if (wanted.has(name) && against !== undefined) wanted.add(against);
    }
    return { ...group, scenarios: group.scenarios.filter(({ name }) => wanted.has(name)) };
  }).filter(({ scenarios }) => scenarios.length > 0);
}

export const needs = (groups: readonly Group[], world: WorldName): boolean =>
  groups.some(({ scenarios }) =>
    scenarios.some(({ kind }) => "world" in kind && kind.world === world),
  );
