/** What processes cost: CPU time and memory, out of /proc. Linux only. */
import { readdirSync, readFileSync } from "node:fs";
import type { ShopProcess } from "./shop.js";

/** CPU time in µs by what it was for: a program, or PostgreSQL on behalf of a role. */
export type Cpu = ReadonlyMap<string, number>;

const POSTGRES = "postgres itself";

/** CPU time of a process until now in µs: of its threads, as the scheduler counts it; 0 when it has ended. */
export function cpuUs(pid: number): number {
  let total = 0;
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      // The first field is ns on a CPU: /proc/PID/stat counts in steps of 10 ms.
      total += Number.parseInt(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1"), 10);
    }
  } catch {
    // The thread or the process has ended since.
  }
  return total / 1_000;
}

/** Memory of a process in MiB, what it shares with others divided among them; NaN when it has ended. */
export function memoryMiB(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
    return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1]) / 1_024;
  } catch {
    return Number.NaN;
  }
}

/** The processes of a shop, by the names of their programs. */
export class Processes {
  readonly #names: ReadonlyMap<number, string>;
  readonly #postgres: number | undefined;
  /** A connection's role never changes. */
  readonly #roles = new Map<number, string>();

  constructor(rows: readonly ShopProcess[]) {
    this.#postgres = rows.find(({ name }) => name === "postgres")?.pid;
    const programs = rows.filter(({ pid }) => pid !== this.#postgres);
    // In compact mode one process is many programs.
    this.#names = new Map(
      [...Map.groupBy(programs, ({ pid }) => pid)].map(([pid, same]) => [
        pid,
        same.length === 1 ? (same[0] as ShopProcess).name : "all programs",
      ]),
    );
  }

  nameOf(pid: number): string {
    return this.#names.get(pid) ?? String(pid);
  }

  /** CPU time until now. */
  cpu(): Cpu {
    const found = new Map<string, number>();
    const add = (name: string, us: number) => found.set(name, (found.get(name) ?? 0) + us);
    for (const [pid, name] of this.#names) add(name, cpuUs(pid));
    if (this.#postgres === undefined) return found;
    add(POSTGRES, cpuUs(this.#postgres));
    for (const pid of childrenOf(this.#postgres)) add(this.#roleOf(pid), cpuUs(pid));
    return found;
  }

  /** MiB by program; PostgreSQL's is its buffers above all, and told apart. */
  memory(): ReadonlyMap<string, number> {
    const found = new Map<string, number>();
    const add = (name: string, mib: number) => found.set(name, (found.get(name) ?? 0) + mib);
    for (const [pid, name] of this.#names) add(name, memoryMiB(pid));
    if (this.#postgres === undefined) return found;
    for (const pid of [this.#postgres, ...childrenOf(this.#postgres)]) {
      const mib = memoryMiB(pid);
      if (!Number.isNaN(mib)) add("postgres", mib);
    }
    return found;
  }

  #roleOf(pid: number): string {
    const known = this.#roles.get(pid);
    if (known !== undefined) return known;
    const [, role] =
      /^postgres: (access|catalog|cart|order|payment|postgres) /.exec(title(pid)) ?? [];
    if (role === undefined) return POSTGRES;
    const name = role === "postgres" ? "postgres limit" : `postgres ${role}`;
    this.#roles.set(pid, name);
    return name;
  }
}

function title(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1");
  } catch {
    return "";
  }
}

function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1");
    return text.trim().split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** What was spent between two readings. */
export function spent(after: Cpu, before: Cpu): Map<string, number> {
  return new Map([...after].map(([name, us]) => [name, Math.max(0, us - (before.get(name) ?? 0))]));
}

export const sum = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0);
