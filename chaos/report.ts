// What a run prints, and writes for machines.
import { writeFile } from "node:fs/promises";
import type { Check } from "./audit.ts";
import type { Disturbance } from "./faults.ts";
import type { Purchase } from "./journal.ts";
import { latencies, orphaned, type Storm, undisturbed } from "./storm.ts";

const DIFFERENCES_SHOWN = 20;
const FAILURES_SHOWN = 12;
const SLOWEST_SHOWN = 4;

export type Row = readonly [name: string, value: string];

export function stormRows(storm: Storm): Row[] {
  const { journal, disturbances, seconds, isOutOfTime } = storm;
  const { acknowledged, purchases, requests, repeats } = journal;
  const ends = tally(purchases.filter(({ orderIds }) => orderIds.length > 0).map(endOf));
  const other = tally(purchases.filter(({ orderIds }) => orderIds.length === 0).map(endOf));
  return [
    ["orders acknowledged", String(acknowledged)],
    ["orders by end, as shown", listed(ends)],
    ["purchases without an order", listed(other)],
    ["faults", listed(tally(disturbances.map(kindOf)))],
    ["kills by program", listed(tally(killsOf(disturbances)))],
    ["customers", String(journal.shoppers.length)],
    ["requests", `${requests}, of them ${repeats} repeats of initOrder`],
    ["failures", listed(journal.failures, FAILURES_SHOWN)],
    ["seconds", seconds.toFixed(1) + (isOutOfTime ? " (the time was up)" : "")],
    ["orders/s", (acknowledged / seconds).toFixed(1)],
    ["initOrder to final", spread(latencies(purchases))],
    ["  until acknowledged", spread(acknowledgements(purchases))],
    ["  undisturbed", spread(latencies(undisturbed(storm)))],
    ["  when a kill of order came", spread(latencies(orphaned(storm)))],
    ["slowest orders", slowest(storm)],
  ];
}

const acknowledgements = (purchases: readonly Purchase[]): number[] =>
  purchases.flatMap(({ startMs, acknowledgedMs }) =>
    acknowledgedMs === undefined ? [] : [acknowledgedMs - startMs],
  );

function slowest({ journal: { purchases } }: Storm): string {
  const took = ({ startMs, endMs = Number.POSITIVE_INFINITY }: Purchase) => endMs - startMs;
  return purchases
    .filter(({ endMs }) => endMs !== undefined)
    .toSorted((one, other) => took(other) - took(one))
    .slice(0, SLOWEST_SHOWN)
    .map((purchase) => {
      const { orderIds, startMs, acknowledgedMs = startMs, paymentMethod } = purchase;
      const acknowledged = Math.round(acknowledgedMs - startMs);
      const total = Math.round(took(purchase));
      return `order ${orderIds[0]} by ${paymentMethod}: ${acknowledged} of ${total} ms to be placed`;
    })
    .join("; ");
}

const endOf = ({ orderIds, states, refusals }: Purchase): string =>
  orderIds.length > 0 ? (states.at(-1) ?? "not looked at") : (refusals[0] ?? "never answered");

const kindOf = ({ fault }: Disturbance): string => fault.kind;

const killsOf = (disturbances: readonly Disturbance[]): string[] =>
  disturbances.filter(({ fault }) => fault.kind === "kill").map(({ fault }) => fault.target);

export function tally(words: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

/** The most frequent first. */
export function listed(
  counts: ReadonlyMap<string, number>,
  max = Number.POSITIVE_INFINITY,
): string {
  const entries = [...counts].sort(([, one], [, other]) => other - one);
  const shown = entries.slice(0, max).map(([word, count]) => `${count} ${word}`);
  if (entries.length > max) shown.push("…");
  return shown.join(", ") || "none";
}

/** Milliseconds by rank. */
export function spread(ms: readonly number[]): string {
  if (ms.length === 0) return "none";
  const sorted = ms.toSorted((one, other) => one - other);
  const at = (part: number) =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] as number);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms (${sorted.length} orders)`;
}

export function table(title: string, rows: readonly Row[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`);
  return [`\n${title}`, ...lines].join("\n");
}

export function checksText(checks: readonly Check[]): string {
  const rows = checks.map(({ what, compared, differences }): Row => {
    const found = differences.length === 0 ? "ok" : `${differences.length} DIFFERENCES`;
    return [what, `${String(compared).padStart(7)} compared  ${found}`];
  });
  const off = checks.flatMap(({ what, differences }) => {
    if (differences.length === 0) return [];
    const shown = differences.slice(0, DIFFERENCES_SHOWN).map((text) => `  ${text}`);
    const left = differences.length - shown.length;
    return [`\nNot so: ${what}`, ...shown, ...(left > 0 ? [`  and ${left} more`] : [])];
  });
  return [table("Checked", rows), ...off].join("\n");
}

export async function writeReport(path: string, report: unknown): Promise<void> {
  await writeFile(path, `${JSON.stringify(report, null, 2)}\n`);
}
