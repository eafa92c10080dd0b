// node scripts/memory.ts [--data DIR]: the memory of a running shop, process by process, PostgreSQL
// aside. PSS counts a page that several processes share as a part for each, so that sums are true;
// the pages of Node itself are shared with whatever else on the machine runs the same Node.
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { findJson, sentence } from "./files.ts";
import type { RunFile } from "./shop.ts";

const KB_PER_MB = 1_024;

/** What a process takes, in MB. */
export interface Memory {
  /** The programs in it. */
  readonly names: readonly string[];
  readonly pid: number;
  readonly pssMb: number;
  /** Of that, what is no file's: heaps and stacks. */
  readonly anonymousMb: number;
  /** What it has of files, all of it, shared or not. */
  readonly filesMb: number;
}

/** What the processes of a run file take. On Linux only. */
export async function memoryOf(processes: RunFile["processes"]): Promise<Memory[]> {
  const names = new Map<number, string[]>();
  for (const { name, pid } of processes) {
    if (name !== "postgres") names.set(pid, [...(names.get(pid) ?? []), name]);
  }
  return Promise.all([...names].map(([pid, held]) => memoryOfProcess(pid, held)));
}

async function memoryOfProcess(pid: number, names: readonly string[]): Promise<Memory> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
  const mb = (name: string) => {
    const [, kb] = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text) ?? [];
    if (kb === undefined) throw new Error(`The kernel does not tell ${name} of processes.`);
    return Number(kb) / KB_PER_MB;
  };
  const filesMb = mb("Rss") - mb("Anonymous");
  return { names, pid, pssMb: mb("Pss"), anonymousMb: mb("Pss_Anon"), filesMb };
}

/** The sum, and what it would be if nothing else on the machine ran the same Node. */
export function sumOf(memories: readonly Memory[]): { pssMb: number; aloneMb: number } {
  const sum = (value: (memory: Memory) => number) =>
    memories.reduce((total, memory) => total + value(memory), 0);
  const filesMb = Math.max(...memories.map((memory) => memory.filesMb));
  return {
    pssMb: sum(({ pssMb }) => pssMb),
    aloneMb: sum(({ anonymousMb }) => anonymousMb) + filesMb,
  };
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { data: { type: "string", default: ".data" } } });
  const dataDir = resolve(import.meta.dirname, "..", values.data);
  const run = await findJson<RunFile>(join(dataDir, "run.json"));
  if (run === undefined) {
    throw new Error(`No shop is running on ${dataDir}; start it, or name its folder with --data.`);
  }
  const memories = await memoryOf(run.processes);
  for (const { names, pid, pssMb, anonymousMb } of memories) {
    const [cells, name] = [[pssMb, anonymousMb].map(mbCell), names.length > 1 ? "all" : names[0]];
    console.log(`${name?.padEnd(10)} ${String(pid).padStart(8)} ${cells.join(" ")}`);
  }
  const { pssMb, aloneMb } = sumOf(memories);
  console.log(
    `${pssMb.toFixed(0)} MB together; ${aloneMb.toFixed(0)} MB with no other Node beside`,
  );
}

const mbCell = (mb: number): string => `${mb.toFixed(1).padStart(7)} MB`;

if (import.meta.main) {
  main().catch((error) => {
    console.error(sentence(error));
    process.exitCode = 1;
  });
}
