// The figures as one page that needs nothing else: tables, and plots as SVG, for light and dark.
import { barPlot, linePlot, type Series, stackPlot } from "./plots.ts";
import { shown } from "./report.ts";
import type { Result } from "./results.ts";
import type { Soak, Step } from "./soak.ts";
import type { StartTimes } from "./system.ts";
import { ofPrograms, type Verdict } from "./targets.ts";

export interface Report {
  /** What was measured, and on what. */
  readonly about: readonly string[];
  /** MiB by program. */
  readonly idle: ReadonlyMap<string, number>;
  readonly loaded?: ReadonlyMap<string, number>;
  readonly starts?: StartTimes;
  readonly soak?: Soak;
  readonly results: readonly Result[];
  readonly verdicts: readonly Verdict[];
}

/** The number of connections whose CPU is shown, if it was measured. */
const CPU_CONNECTIONS = 64;

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #d8dde4; --paper: #fff;
  --a: #2f6db5; --b: #a9b4c2; --c: #c2662d; --d: #3c8a57; --e: #8658a8; --f: #b3872b; --g: #c14d6a;
  --h: #3a9aa3; --i: #7d8794; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9f0; --soft: #9aa6b5; --line: #38424f;
  --paper: #151a21; --a: #6ea8ea; --b: #5d6979; --c: #e8945d; --d: #6fc08c; --e: #bb92db;
  --f: #dcb55c; --g: #ec8aa3; --h: #6fcbd4; --i: #97a2b0; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p, li { max-width: 46rem; } .soft, text.soft { color: var(--soft); fill: var(--soft); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); } td:first-child, th:first-child { text-align: left; padding-left: 0; }
.met { color: var(--d); } .missed { color: var(--g); font-weight: 600; }
svg { width: 100%; height: auto; display: block; margin: .8rem 0; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
.wide { overflow-x: auto; }
th { white-space: nowrap; } .batches td { white-space: nowrap; }
.batches td:last-child { text-align: left; font-size: .75rem; width: 20rem; white-space: normal; }`;

export function page(report: Report): string {
  const groups = [...Map.groupBy(report.results, ({ group }) => group)];
  const parts = [
    `<p class="soft">${report.about.map(escaped).join("<br>")}</p>`,
    report.verdicts.length > 0 ? targets(report.verdicts) : "",
    ...groups.map(([name, results]) => groupPart(name, results)),
    report.results.length > 0 ? cpuPart(report.results) : "",
    memoryPart(report),
    report.soak === undefined ? "" : soakPart(report.soak),
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>piata: bench</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>${STYLE}</style></head>
<body><h1>What piata does on this machine</h1>
${parts.filter(Boolean).join("\n")}
</body></html>
`;
}

export const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const head = heads.map((text) => `<th>${escaped(text)}</th>`).join("");
  const lines = rows.map((cells) => `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`);
  return `<div class="wide"><table><tr>${head}</tr>${lines.join("\n")}</table></div>`;
}

function targets(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ what, wanted, found, isMet }) => [
    escaped(what),
    found === undefined ? "–" : shown(found),
    escaped(wanted),
    isMet === undefined
      ? '<span class="soft">not measured</span>'
      : `<span class="${isMet ? "met" : "missed"}">${isMet ? "met" : "not met"}</span>`,
  ]);
  const heads = ["at 64 connections", "measured", "wanted", ""];
  return `<h2>Targets</h2>${table(heads, rows)}`;
}

function groupPart(name: string, results: readonly Result[]): string {
  const rows = results.map((result) => [
    escaped(result.scenario.name),
    String(result.connections),
    shown(result.perSecond),
    shown(result.p50Ms),
    shown(result.p99Ms),
    result.errors === 0 ? "0" : `<span class="missed">${result.errors}</span>`,
    result.ratio === undefined
      ? "–"
      : `${result.ratio.toFixed(2)} of ${escaped(result.scenario.against ?? "")}`,
    [...result.batchItems].map(([batch, items]) => `${escaped(batch)} ${shown(items)}`).join(", "),
  ]);
  const rates = results.map((result) => ({
    ...barOf(result),
    value: result.perSecond,
    note: `${shown(result.perSecond)}/s${result.ratio === undefined ? "" : ` · ${result.ratio.toFixed(2)}`}`,
  }));
  const times = results.map((result) => ({
    ...barOf(result),
    from: result.p50Ms,
    value: result.p99Ms,
    note: `${shown(result.p50Ms)} – ${shown(result.p99Ms)} ms`,
  }));
  const heads = ["", "at once", "per s", "p50 ms", "p99 ms", "errors", "ratio", "items per batch"];
  return `<h2>${escaped(name)}</h2>
<p class="soft">Per second, on a logarithmic scale; the number behind it is the ratio to what it is compared with.</p>
${barPlot("Per second", rates)}
<p class="soft">From p50 to p99, on a logarithmic scale.</p>
${barPlot("From p50 to p99", times)}
<div class="batches">${table(heads, rows)}</div>`;
}

const barOf = ({ scenario, connections }: Result) => ({
  label: `${scenario.title}, ${connections}`,
  color: scenario.title.startsWith("limit") ? "--b" : "--a",
});

function cpuPart(results: readonly Result[]): string {
  const counts = [...new Set(results.map(({ connections }) => connections))];
  const chosen = counts.includes(CPU_CONNECTIONS) ? CPU_CONNECTIONS : Math.max(...counts);
  const rows = results
    .filter(({ connections, cpuUs }) => connections === chosen && cpuUs.size > 1)
    .map(({ scenario, cpuUs }) => ({ label: scenario.name, parts: cpuUs }));
  return `<h2>CPU time of one, at ${chosen} connections</h2>
<p class="soft">Whose it is, and how many µs in all; PostgreSQL's work for a program is paler.</p>
${stackPlot(rows)}`;
}

function memoryPart({ idle, loaded }: Report): string {
  const names = [...idle.keys()];
  const rows = names.map((name) => [
    escaped(name),
    shown(idle.get(name) ?? Number.NaN),
    shown(loaded?.get(name) ?? Number.NaN),
  ]);
  rows.push([
    "all but PostgreSQL",
    shown(ofPrograms(idle)),
    loaded === undefined ? "–" : shown(ofPrograms(loaded)),
  ]);
  const note = "Proportional set size: pages that processes share are divided among them.";
  return `<h2>Memory, MiB</h2><p class="soft">${note}</p>${table(["", "idle", "after the load"], rows)}`;
}

function soakPart({ steps, growth, total }: Soak): string {
  const linesOf = (read: (step: Step) => ReadonlyMap<string, number>): string => {
    const names = [...(steps[0] === undefined ? [] : read(steps[0]).keys())];
    const series: Series[] = names
      .filter((name) => name !== "postgres")
      .map((name) => ({
        name,
        points: steps.map((step) => [step.minute, read(step).get(name) ?? 0] as const),
      }));
    return linePlot(series);
  };
  const rows = [...growth].map(([name, mib]) => [escaped(name), shown(mib)]);
  rows.push(["all", shown(total)]);
  return `<h2>Memory under load, MiB by minute</h2>${linesOf(({ memory }) => memory)}
<h2>What heaps held at least, MiB by minute</h2>${linesOf(({ heap }) => heap)}
${table(["", "growth in ten minutes"], rows)}`;
}
