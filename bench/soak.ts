// Does the shop's memory grow? A mixed load for minutes, and the memory of each process meanwhile.
import { setTimeout as pause } from "node:timers/promises";
import { sum } from "@piata/testkit/processes";
import type { Bench } from "./bench.ts";
import { shown } from "./report.ts";
import type { Scenario } from "./scenarios.ts";
import type { System } from "./system.ts";

const STEP_SECONDS = 30;
const CONNECTIONS = 32;
/** How often the heaps are looked at, to see them when they have just been cleaned. */
const LOOK_MS = 1_000;
const MINUTES = 10;
/** MiB in ten minutes of all heaps together: less is within what a straight line can tell. */
const GROWTH_MAX_MIB = 20;

const MIXED: Scenario = {
  name: "mixed",
  title: "looks, lists, carts and purchases",
  kind: { flow: "mixed", world: "shop" },
};

type ByProgram = ReadonlyMap<string, number>;

export interface Step {
  /** Its end. */
  readonly minute: number;
  /** MiB of the process, at the end. */
  readonly memory: ByProgram;
  /** MiB that its heap held at least: what was in use, and little that was not collected yet. */
  readonly heap: ByProgram;
}

export interface Soak {
  readonly minutes: number;
  readonly steps: readonly Step[];
  /** MiB in ten minutes, of heaps: a straight line through the second half. */
  readonly growth: ByProgram;
  readonly total: number;
  readonly errors: number;
  readonly units: number;
}

export async function soak(
  bench: Bench,
  minutes: number,
  say: (text: string) => void,
): Promise<Soak> {
  const steps: Step[] = [];
  let [errors, units] = [0, 0];
  const startMs = performance.now();
  const minute = () => (performance.now() - startMs) / 60_000;
  while (minute() < minutes) {
    const ms = Math.min(STEP_SECONDS, minutes * 60) * 1_000;
    const round = bench.round(MIXED, CONNECTIONS, { leadMs: 0, ms });
    const [sample, heap] = await Promise.all([round, lowestHeaps(bench.system, round)]);
    errors += sample.errors;
    units += sample.perSecond * (ms / 1_000);
    const memory = bench.system.processes.memory();
    steps.push({ minute: minute(), memory, heap });
    const row = [...memory].map(([name, mib]) => {
      const held = heap.get(name);
      return `${name} ${shown(mib)}${held === undefined ? "" : ` (heap ${shown(held)})`}`;
    });
    say(`${minute().toFixed(1)} min  ${shown(sample.perSecond)}/s  MiB: ${row.join(", ")}`);
    for (const text of sample.errorTexts) say(`      ERROR ${text}`);
  }
  const growth = growthOf(steps);
  return { minutes, steps, growth, total: sum(growth.values()), errors, units };
}

/** The least that each heap held until something is done. */
async function lowestHeaps(system: System, done: Promise<unknown>): Promise<ByProgram> {
  const lowest = new Map<string, number>();
  const isDone = done.then(
    () => true,
    () => true,
  );
  do {
    for (const [name, mib] of await system.heaps()) {
      lowest.set(name, Math.min(mib, lowest.get(name) ?? mib));
    }
  } while (!(await Promise.race([isDone, pause(LOOK_MS, false)])));
  return lowest;
}

/**
 * MiB in ten minutes, by the second half of the steps. A heap that was not cleaned in a step is taken for
 * what it was in the step before or after.
 */
export function growthOf(steps: readonly Pick<Step, "minute" | "heap">[]): Map<string, number> {
  const heapAt = (step: number, name: string) => steps[step]?.heap.get(name) ?? Infinity;
  const from = Math.floor(steps.length / 2);
  return new Map(
    [...(steps[from]?.heap.keys() ?? [])].map((name) => {
      const points = steps.slice(from).map(({ minute }, index) => {
        const around = [-1, 0, 1].map((offset) => heapAt(from + index + offset, name));
        return [minute, Math.min(...around)] as const;
      });
      return [name, MINUTES * slope(points)];
    }),
  );
}

/** Of the straight line that is nearest to the points; NaN for fewer than two. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (at: 0 | 1) => points.reduce((sum, point) => sum + point[at], 0) / points.length;
  const [middleX, middleY] = [mean(0), mean(1)];
  const over = points.reduce((sum, [x, y]) => sum + (x - middleX) * (y - middleY), 0);
  return over / points.reduce((sum, [x]) => sum + (x - middleX) ** 2, 0);
}

export function growthText({ minutes, growth, total, errors, units }: Soak): string {
  const rows = [...growth].map(([name, mib]) => `${name} ${shown(mib)}`).join(", ");
  const verdict =
    minutes < MINUTES ? `${MINUTES} minutes can tell` : total <= GROWTH_MAX_MIB ? "met" : "NOT MET";
  return [
    `\n${shown(units)} units of work, ${errors} errors`,
    `Growth of heaps in ${MINUTES} minutes, by a line through the second half, MiB: ${rows}`,
    `In all ${shown(total)} MiB; no growth is at most ${GROWTH_MAX_MIB}: ${verdict}`,
  ].join("\n");
}
