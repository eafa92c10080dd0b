// Does the shop's memory grow? A mixed load for minutes, and the memory of each process meanwhile.
import type { Bench } from "./bench.ts";
import { shown } from "./report.ts";
import type { Scenario } from "./scenarios.ts";

const EVERY_SECONDS = 30;
const CONNECTIONS = 32;
/** MiB in ten minutes, of all programs together: less is what a garbage collector does. */
const GROWTH_MAX_MIB = 20;
const MINUTES = 10;

const MIXED: Scenario = {
  name: "mixed",
  title: "looks, lists, carts and purchases",
  kind: { flow: "mixed", world: "shop" },
};

export interface Soak {
  /** MiB by program, at the end of each step. */
  readonly steps: readonly { minute: number; memory: ReadonlyMap<string, number> }[];
  /** MiB in ten minutes, by program: a straight line through the second half. */
  readonly growth: ReadonlyMap<string, number>;
  readonly total: number;
  readonly errors: number;
  readonly units: number;
}

export async function soak(
  bench: Bench,
  minutes: number,
  say: (text: string) => void,
): Promise<Soak> {
  const steps: { minute: number; memory: ReadonlyMap<string, number> }[] = [];
  let [errors, units] = [0, 0];
  const startMs = performance.now();
  const minute = () => (performance.now() - startMs) / 60_000;
  while (minute() < minutes) {
    const ms = Math.min(EVERY_SECONDS, minutes * 60) * 1_000;
    const sample = await bench.round(MIXED, CONNECTIONS, { leadMs: 0, ms });
    errors += sample.errors;
    units += sample.perSecond * (ms / 1_000);
    const memory = bench.system.processes.memory();
    steps.push({ minute: minute(), memory });
    const row = [...memory].map(([name, mib]) => `${name} ${shown(mib)}`).join(", ");
    say(`${minute().toFixed(1)} min  ${shown(sample.perSecond)}/s  MiB: ${row}`);
    for (const text of sample.errorTexts) say(`      ERROR ${text}`);
  }
  const second = steps.slice(Math.floor(steps.length / 2));
  const names = [...(second[0]?.memory.keys() ?? [])].filter((name) => name !== "postgres");
  const growth = new Map(
    names.map((name) => [
      name,
      MINUTES * slope(second.map((step) => [step.minute, step.memory.get(name) ?? Number.NaN])),
    ]),
  );
  const total = [...growth.values()].reduce((sum, mib) => sum + mib, 0);
  return { steps, growth, total, errors, units };
}

/** Of the straight line that is nearest to the points; NaN for fewer than two. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (at: 0 | 1) => points.reduce((sum, point) => sum + point[at], 0) / points.length;
  const [middleX, middleY] = [mean(0), mean(1)];
  const over = points.reduce((sum, [x, y]) => sum + (x - middleX) * (y - middleY), 0);
  return over / points.reduce((sum, [x]) => sum + (x - middleX) ** 2, 0);
}

export function growthText({ growth, total, errors, units }: Soak): string {
  const rows = [...growth].map(([name, mib]) => `${name} ${shown(mib)}`).join(", ");
  const verdict = total <= GROWTH_MAX_MIB ? "met" : "NOT MET";
  return [
    `\n${shown(units)} units of work, ${errors} errors`,
    `Growth in ${MINUTES} minutes, by a line through the second half, MiB: ${rows}`,
    `In all ${shown(total)} MiB; no growth is at most ${GROWTH_MAX_MIB}: ${verdict}`,
  ].join("\n");
}
