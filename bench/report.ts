// The figures as text and as JSON.
import type { Result } from "./results.ts";
import { ofPrograms, type Verdict } from "./targets.ts";

/** CPU of a part that costs less than this per unit of work is not told. */
const CPU_US_MIN = 0.5;

/** A number as people read it: three digits, or all of a large one. */
export function shown(value: number): string {
  if (Number.isNaN(value)) return "–";
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en");
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}

export function resultText(result: Result): string {
  const { scenario, connections, perSecond, p50Ms, p99Ms, errors, ratio } = result;
  const { besidePerSecond, besideErrors, requests } = result;
  const head = [
    scenario.name.padEnd(18),
    String(connections).padStart(4),
    `${shown(perSecond).padStart(8)}/s`,
    `p50 ${shown(p50Ms).padStart(6)} ms`,
    `p99 ${shown(p99Ms).padStart(6)} ms`,
    errors === 0 ? "no errors" : `${errors} ERRORS`,
    ratio === undefined ? "" : `${ratio.toFixed(2)} of ${scenario.against}`,
    requests > 1.01 ? `${shown(requests)} requests each` : "",
    besidePerSecond === undefined
      ? ""
      : `${shown(besidePerSecond)} logins/s beside it, ${besideErrors} refused or late`,
  ];
  const lines = [
    head.filter(Boolean).join("  "),
    part(
      "CPU µs each",
      [...result.cpuUs].filter(([, us]) => us >= CPU_US_MIN),
    ),
    part("items per batch", [...result.batchItems]),
    ...result.errorTexts.map((text) => `      ERROR ${text}`),
  ];
  return lines.filter((line) => line !== undefined).join("\n");
}

function part(what: string, values: readonly (readonly [string, number])[]): string | undefined {
  if (values.length === 0) return undefined;
  const words = values
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, value]) => `${name} ${shown(value)}`);
  return `      ${what}: ${words.join(", ")}`;
}

export function memoryText(what: string, memory: ReadonlyMap<string, number>): string {
  const rows = [...memory].toSorted(([, a], [, b]) => b - a);
  const words = rows.map(([name, mib]) => `${name} ${shown(mib)}`);
  return `${what}: ${shown(ofPrograms(memory))} MiB in all but PostgreSQL (PSS): ${words.join(", ")}`;
}

export function verdictsText(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ what, wanted, found, isMet }) => {
    const mark = isMet === undefined ? "not measured" : isMet ? "met" : "NOT MET";
    const value = found === undefined ? "–" : shown(found);
    return `  ${what.padEnd(56)} ${value.padStart(8)}  ${wanted.padEnd(18)} ${mark}`;
  });
  return ["Targets (at 64 connections)", ...rows].join("\n");
}

/** For JSON.stringify: maps as objects. */
export const plain = (_name: string, value: unknown): unknown =>
  value instanceof Map ? Object.fromEntries(value) : value;
