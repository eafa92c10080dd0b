// What piata is to reach, as ratios of figures from one run.

import { sum } from "@piata/testkit/processes";
import { type Result, ratioOf } from "./results.ts";
import type { StartTimes } from "./system.ts";

export interface Measured {
  readonly results: readonly Result[];
  readonly starts: StartTimes;
  readonly isCompact: boolean;
  /** MiB by program before any load. */
  readonly idle: ReadonlyMap<string, number>;
}

interface Target {
  readonly what: string;
  readonly least?: number;
  readonly most?: number;
  readonly aim?: number;
  /** Undefined when it was not measured. */
  read(measured: Measured): number | undefined;
}

export interface Verdict {
  readonly what: string;
  readonly wanted: string;
  readonly found: number | undefined;
  readonly isMet: boolean | undefined;
}

/** The number of connections that the targets are for. */
const CONNECTIONS = 64;

const find = ({ results }: Measured, name: string): Result | undefined =>
  results.find(
    ({ scenario, connections }) => scenario.name === name && connections === CONNECTIONS,
  );

/** Of programs; PostgreSQL is told apart. */
export const ofPrograms = (memory: ReadonlyMap<string, number>): number =>
  sum([...memory].filter(([name]) => name !== "postgres").map(([, mib]) => mib));

const MB_PER_MIB = 1.048576;

const TARGETS: readonly Target[] = [
  {
    what: "product by id, of bare node:http",
    least: 0.25,
    aim: 0.35,
    read: (measured) => find(measured, "product")?.ratio,
  },
  {
    what: "product by id, p99 in ms",
    most: 15,
    read: (measured) => find(measured, "product")?.p99Ms,
  },
  {
    what: "add to cart, of the uncached product by id",
    least: 0.5,
    read: (measured) => find(measured, "add-beside")?.ratio,
  },
  {
    what: "add to cart, per second",
    aim: 3_000,
    read: (measured) => find(measured, "add")?.perSecond,
  },
  {
    what: "whole purchase, of the order transaction in PostgreSQL",
    least: 0.1,
    aim: 0.25,
    read: (measured) => find(measured, "purchase")?.ratio,
  },
  {
    what: "whole purchase, per second",
    aim: 1_000,
    read: (measured) => find(measured, "purchase")?.perSecond,
  },
  {
    what: "purchases of one hot product, of spread ones",
    least: 0.8,
    read: (measured) => ratioOf(find(measured, "purchase-hot"), find(measured, "purchase")),
  },
  {
    what: "login, of argon2id on all cores",
    least: 0.8,
    read: (measured) => find(measured, "login")?.ratio,
  },
  {
    what: "product by id beside a flood of logins, of without",
    least: 0.5,
    read: (measured) => find(measured, "product-flood")?.ratio,
  },
  {
    what: "start of a new shop to the first answer, in s",
    most: 5,
    read: ({ starts }) => starts.newMs / 1_000,
  },
  {
    what: "start on data to the first answer, in s",
    most: 5,
    read: ({ starts }) => starts.againMs / 1_000,
  },
  {
    what: "idle memory in separate processes, in MB",
    most: 550,
    read: ({ isCompact, idle }) => (isCompact ? undefined : ofPrograms(idle) * MB_PER_MIB),
  },
  {
    what: "idle memory in one process (--compact), in MB",
    most: 200,
    read: ({ isCompact, idle }) => (isCompact ? ofPrograms(idle) * MB_PER_MIB : undefined),
  },
];

export function verdicts(measured: Measured): Verdict[] {
  return TARGETS.map(({ what, least, most, aim, read }) => {
    const found = read(measured);
    const wanted = [
      least === undefined ? [] : `≥ ${least}`,
      most === undefined ? [] : `≤ ${most}`,
      aim === undefined ? [] : `aim ${aim}`,
    ].flat();
    const limit = least ?? aim ?? 0;
    const isMet = found === undefined ? undefined : found >= limit && found <= (most ?? Infinity);
    return { what, wanted: wanted.join(", "), found, isMet };
  });
}
