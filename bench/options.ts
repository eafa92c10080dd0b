import { parseArgs } from "node:util";
import { SCENARIO_NAMES } from "./scenarios.ts";

export const USAGE = `Usage: npm run bench -- [options]

  --quick              rounds of half a second at 1 and 64 connections: under three minutes
  --only LIST          only these scenarios, and what they are compared with, such as product,purchase
  --connections LIST   connections at once (default 1,16,64,256)
  --seconds N          length of a round (default 2)
  --rounds N           rounds of each scenario, whose median counts (default 3)
  --compact            all programs in one process
  --soak MINUTES       instead: mixed load for so long, and what memory does meanwhile
  --json FILE          writes every figure as JSON, too
  --html FILE          writes a page with plots, too
  --help               show this

Scenarios: ${SCENARIO_NAMES.join(", ")}

It needs Linux: CPU time and memory are read from /proc. It exits with 0 when the shop has started and
answered everything rightly, 1 when not. Whether the targets are met is told, and does not change that.`;

/** What the caller asked for cannot be understood. */
export class UsageError extends Error {}

export interface Options {
  readonly help: boolean;
  readonly only: readonly string[] | undefined;
  readonly connections: readonly number[];
  /** Of a round. */
  readonly seconds: number;
  readonly rounds: number;
  /** Before a scenario is measured for the first time. */
  readonly warmUpSeconds: number;
  readonly compact: boolean;
  readonly soakMinutes: number | undefined;
  readonly json: string | undefined;
  readonly html: string | undefined;
}

const CONNECTIONS_MAX = 1_000;
const SECONDS_MAX = 60;
const ROUNDS_MAX = 99;
/** The customers' tokens are good for an hour. */
const SOAK_MINUTES_MAX = 50;

export function readOptions(args: string[]): Options {
  const values = parse(args);
  const quick = values.quick ?? false;
  const soak = values.soak;
  if (soak !== undefined && (values.only ?? values.connections) !== undefined) {
    throw new UsageError("--soak has a load of its own: it takes no --only and no --connections.");
  }
  return {
    help: values.help ?? false,
    only: values.only === undefined ? undefined : readOnly(values.only),
    connections: readConnections(values.connections ?? (quick ? "1,64" : "1,16,64,256")),
    seconds: readNumber("seconds", values.seconds ?? (quick ? "0.5" : "2"), SECONDS_MAX),
    rounds: readWhole("rounds", values.rounds ?? "3", ROUNDS_MAX),
    warmUpSeconds: quick ? 1 : 3,
    compact: values.compact ?? false,
    soakMinutes: soak === undefined ? undefined : readNumber("soak", soak, SOAK_MINUTES_MAX),
    json: values.json,
    html: values.html,
  };
}

function parse(args: string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    return parseArgs({
      args,
      options: {
        help: { type: "boolean", short: "h" },
        quick: flag,
        only: text,
        connections: text,
        seconds: text,
        rounds: text,
        compact: flag,
        soak: text,
        json: text,
        html: text,
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function readOnly(list: string): string[] {
  const names = list.split(",");
  const unknown = names.find((name) => !SCENARIO_NAMES.includes(name));
  if (unknown === undefined) return names;
  throw new UsageError(
    `There is no scenario "${unknown}"; there are ${SCENARIO_NAMES.join(", ")}.`,
  );
}

function readConnections(list: string): number[] {
  const counts = list.split(",").map((word) => readWhole("connections", word, CONNECTIONS_MAX));
  return [...new Set(counts)].sort((a, b) => a - b);
}

function readWhole(name: string, text: string, max: number): number {
  const value = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= 1 && value <= max) return value;
  throw new UsageError(`--${name}: "${text}" is not a whole number from 1 to ${max}.`);
}

function readNumber(name: string, text: string, max: number): number {
  const value = /^\d{1,4}(\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN;
  if (value >= 0.1 && value <= max) return value;
  throw new UsageError(`--${name}: "${text}" is not a number from 0.1 to ${max}.`);
}
