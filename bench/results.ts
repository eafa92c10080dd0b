// What the rounds of a bench come to: medians, and ratios of figures that were measured beside each other.
import type { Bench, Sample } from "./bench.ts";
import type { Group, Scenario } from "./scenarios.ts";
import type { Batches } from "./system.ts";
import type { Span } from "./tally.ts";

export interface Result {
  readonly group: string;
  readonly scenario: Scenario;
  readonly connections: number;
  /** Medians of the rounds. */
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly requests: number;
  readonly cpuUs: ReadonlyMap<string, number>;
  /** Items per batch, by coalescer. */
  readonly batchItems: ReadonlyMap<string, number>;
  readonly besidePerSecond: number | undefined;
  readonly besideErrors: number;
  /** Of all rounds. */
  readonly errors: number;
  readonly errorTexts: readonly string[];
  /** By round. */
  readonly rounds: readonly number[];
  /** Of what it is compared with: the median of the rounds' ratios. */
  readonly ratio: number | undefined;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The median of what one thing was of another in each round; undefined when one was not measured. */
export function ratioOf(of: Result | undefined, to: Result | undefined): number | undefined {
  if (of === undefined || to === undefined) return undefined;
  return median(of.rounds.map((value, round) => value / (to.rounds[round] ?? Number.NaN)));
}

export interface Lengths {
  readonly span: Span;
  readonly rounds: number;
  /** Before a scenario is measured for the first time. */
  readonly warmUpMs: number;
}

/** Measures the scenarios of a group in turns; `warm` are those that need no warm-up any more. */
export async function measureGroup(
  bench: Bench,
  { name, scenarios, times }: Group,
  connections: number,
  { span, rounds, warmUpMs }: Lengths,
  warm: Set<string>,
): Promise<Result[]> {
  for (const scenario of scenarios.filter((one) => !warm.has(one.name))) {
    // A limit's first round compiles as a shop's does, and both are filled by it.
    await bench.round(scenario, Math.max(connections, 16), { leadMs: 0, ms: warmUpMs });
    warm.add(scenario.name);
  }
  const samples = scenarios.map((): Sample[] => []);
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, scenario] of scenarios.entries()) {
      const { leadMs, ms } = span;
      const own = { leadMs, ms: ms * (times ?? 1) };
      samples[index]?.push(await bench.round(scenario, connections, own));
    }
  }
  const results: Result[] = [];
  for (const [index, scenario] of scenarios.entries()) {
    const result = resultOf(name, scenario, connections, samples[index] ?? []);
    const limit = results.find((one) => one.scenario.name === scenario.against);
    results.push({ ...result, ratio: ratioOf(result, limit) });
  }
  return results;
}

function resultOf(
  group: string,
  scenario: Scenario,
  connections: number,
  samples: readonly Sample[],
): Result {
  const of = (read: (sample: Sample) => number) => median(samples.map(read));
  const names = new Set(samples.flatMap(({ cpuUs }) => [...cpuUs.keys()]));
  const beside = samples.flatMap(({ besidePerSecond }) => besidePerSecond ?? []);
  return {
    group,
    scenario,
    connections,
    perSecond: of(({ perSecond }) => perSecond),
    p50Ms: of(({ p50Ms }) => p50Ms),
    p99Ms: of(({ p99Ms }) => p99Ms),
    requests: of(({ requests }) => requests),
    cpuUs: new Map([...names].map((name) => [name, of(({ cpuUs }) => cpuUs.get(name) ?? 0)])),
    batchItems: meanItems(samples),
    besidePerSecond: beside.length === 0 ? undefined : median(beside),
    besideErrors: samples.reduce((all, { besideErrors }) => all + besideErrors, 0),
    errors: samples.reduce((all, { errors }) => all + errors, 0),
    errorTexts: samples.flatMap(({ errorTexts }) => errorTexts).slice(0, 5),
    rounds: samples.map(({ perSecond }) => perSecond),
    ratio: undefined,
  };
}

function meanItems(samples: readonly Sample[]): Map<string, number> {
  const total = new Map<string, Batches>();
  for (const [name, { items, batches }] of samples.flatMap((sample) => [...sample.batches])) {
    const sum = total.get(name) ?? { items: 0, batches: 0 };
    total.set(name, { items: sum.items + items, batches: sum.batches + batches });
  }
  return new Map([...total].map(([name, { items, batches }]) => [name, items / batches]));
}
