// What goes wrong in a run, and when. Made from the seed before anything is started, and tied to how
// far the run is, not to the clock: the same seed makes the same schedule.
import { Random } from "@piata/testkit/random";

export type FaultKind = "kill" | "pause" | "delay" | "cut" | "drop";

export interface Fault {
  /** It comes when this many orders have been acknowledged. */
  readonly after: number;
  readonly kind: FaultKind;
  /** A program, or for faults of the wire the service that is called. */
  readonly target: string;
  /** Which instance of the program, from 0. */
  readonly instance: number;
  /** How long it lasts; 0 for a kill, which lasts until the launcher has started the program again. */
  readonly forMs: number;
  /** How long a delay holds each byte. */
  readonly holdMs: number;
}

export interface Plan {
  readonly seed: number;
  readonly orders: number;
  readonly kills: number;
  readonly replicas: Readonly<Record<string, number>>;
  /** Whether there are proxies, whose wires can fail. */
  readonly hasProxies: boolean;
  /** Only these faults, each as "<kind>:<target>", such as "kill:order"; all without. */
  readonly only?: readonly string[] | undefined;
}

/** Services that are called through a proxy. */
export const PROXIED = ["access", "catalog", "cart", "order", "payment", "gateway"] as const;

// Order twice: the rows that it works on are the promise.
const KILLED = ["gateway", "access", "catalog", "cart", "order", "order", "payment"];
const ALSO_KILLED = ["postgres", "discovery"];
const PAUSED = [...KILLED, "discovery"];
/** Longer than a lease (ORDER_LEASE_MS), so that another takes the orders over meanwhile. */
const LONG_PAUSE_MS = [5_500, 8_000] as const;
const SHORT_PAUSE_MS = [500, 3_000] as const;
const FIRST = 0.03;
const LAST = 0.92;

export function planFaults(plan: Plan): Fault[] {
  const random = new Random(plan.seed);
  const others = Math.ceil(plan.kills / 2);
  const wire = plan.hasProxies ? others : 0;
  const kinds: [FaultKind, number, readonly string[]][] = [
    ["kill", plan.kills, [...KILLED, ...ALSO_KILLED]],
    ["pause", others, PAUSED],
    ["delay", wire, PROXIED],
    ["cut", wire, PROXIED],
    ["drop", wire, PROXIED],
  ];
  return kinds
    .flatMap(([kind, count, all]) => {
      const { only } = plan;
      const targets = all.filter((target) => !only || only.includes(`${kind}:${target}`));
      return spread(random, targets, count).map((target) => faultOf(random, plan, kind, target));
    })
    .sort((one, other) => one.after - other.after);
}

/** Each target about equally often, in a random order. */
function spread(random: Random, targets: readonly string[], count: number): string[] {
  const chosen: string[] = [];
  if (targets.length === 0) return chosen;
  while (chosen.length < count) chosen.push(...random.shuffled(targets));
  return chosen.slice(0, count);
}

function faultOf(random: Random, plan: Plan, kind: FaultKind, target: string): Fault {
  const { orders, replicas } = plan;
  const after = random.integer(Math.ceil(orders * FIRST), Math.floor(orders * LAST));
  // A wire fails for all instances that are behind it.
  const isProgram = kind === "kill" || kind === "pause";
  const instance = isProgram ? random.integer(0, (replicas[target] ?? 1) - 1) : 0;
  const forMs = durationMs(random, kind, target);
  const holdMs = kind === "delay" ? random.integer(5, 1_000) : 0;
  return { after, kind, target, instance, forMs, holdMs };
}

function durationMs(random: Random, kind: FaultKind, target: string): number {
  switch (kind) {
    case "kill":
      return 0;
    case "pause": {
      const isLong = target === "order" || random.chance(0.15);
      const [min, max] = isLong ? LONG_PAUSE_MS : SHORT_PAUSE_MS;
      return random.integer(min, max);
    }
    case "delay":
      return random.integer(500, 3_000);
    case "cut":
      return random.integer(100, 2_500);
    case "drop":
      return random.integer(50, 1_000);
  }
}

/** A line for people. */
export function faultText({ after, kind, target, instance, forMs, holdMs }: Fault): string {
  const which = instance === 0 ? target : `${target} (${instance + 1})`;
  const long = forMs === 0 ? "" : ` for ${forMs} ms`;
  const held = holdMs === 0 ? "" : ` by ${holdMs} ms`;
  const what = kind === "drop" ? "drop the answers of" : kind;
  return `after ${String(after).padStart(5)} orders: ${what} ${which}${held}${long}`;
}
