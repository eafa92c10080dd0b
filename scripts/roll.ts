// npm run roll [-- PROGRAM ...]: starts the instances of a running shop anew, one after the other,
// each only when the one before it serves again. The launcher starts what we ask to stop.
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { DiscoveryServiceService, type Instance } from "@piata/contracts/discovery";
import { Channel } from "@piata/kit/rpc-client";
import { openTls } from "@piata/kit/tls";
import { PROGRAMS, type ProgramName } from "@piata/setup/programs";
import { findJson, sentence } from "./files.ts";
import { commandLine } from "./processes.ts";
import { mainOf, tlsDir } from "./programs.ts";
import type { RunFile, RunningProcess } from "./shop.ts";

/** What the launcher gives a program to stop, 12 s, and to serve, 60 s, and a little. */
const BACK_TIMEOUT_MS = 75_000;
const HEALTH_TIMEOUT_MS = 2_000;
const POLL_MS = 25;
/** From being listed to every caller's having connected. */
const CONNECT_MS = 500;
// Those that all others ask come last: what is rolled before them finds everything in its place.
const ORDER: readonly ProgramName[] = [
  ...PROGRAMS.filter((name) => name !== "discovery"),
  "discovery",
];
const USAGE = "npm run roll -- [PROGRAM ...] [--data DIR]";
const root = join(import.meta.dirname, "..");

async function main(): Promise<void> {
  const { values, positionals } = readArguments();
  if (values.help) return console.log(`Usage: ${USAGE}`);
  const unknown = positionals.find((name) => !PROGRAMS.includes(name as ProgramName));
  if (unknown !== undefined) {
    throw new Error(`"${unknown}" is none of the programs ${PROGRAMS.join(", ")}.`);
  }
  if (process.platform === "win32") {
    throw new Error("On Windows no program can be asked to stop by another; restart npm start.");
  }
  const shop = new RunningShop(resolve(root, values.data));
  for (const name of ORDER) {
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    const rows = (await shop.processes()).filter((row) => row.name === name);
    if (rows.length === 0) throw new Error(`${name} is not running now; try again.`);
    if (rows.length === 1) console.log(gap(name));
    for (const row of rows) {
      const startMs = Date.now();
      const { pid } = await shop.restart(row);
      const tookS = ((Date.now() - startMs) / 1000).toFixed(1);
      console.log(`${name} (${row.instance}) serves again after ${tookS} s, as process ${pid}`);
    }
  }
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        data: { type: "string", default: ".data" },
        help: { type: "boolean", default: false },
      },
    });
  } catch {
    throw new Error(`Usage: ${USAGE}`);
  }
}

function gap(name: ProgramName): string {
  const meanwhile = {
    gateway: "connections wait until it is back",
    discovery: "no change is noticed until it is back",
  }[name as string];
  return `${name} has one instance: ${meanwhile ?? "calls to it wait or fail until it is back"}`;
}

/** The shop that a launcher runs on a data folder. */
class RunningShop {
  readonly #dataDir: string;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
  }

  async processes(): Promise<readonly RunningProcess[]> {
    const path = join(this.#dataDir, "run.json");
    const run = await findJson<RunFile>(path);
    if (run?.compact) {
      throw new Error(
        "This shop runs compact, all programs in one process: there are no instances to replace " +
          "one after the other. Stop npm start and start it again.",
      );
    }
    if (run !== undefined) return run.processes;
    throw new Error(
      `No shop is running on ${this.#dataDir}; start it, or name its folder with --data.`,
    );
  }

  /** Resolves to the new process when it serves and its callers have found it. */
  async restart({ name, instance, pid }: RunningProcess): Promise<RunningProcess> {
    // The number may be another process's by now.
    if (!(await commandLine(pid)).includes(mainOf(name))) {
      throw new Error(`Process ${pid} is not ${name}; look whether the launcher is running.`);
    }
    const deadline = AbortSignal.timeout(BACK_TIMEOUT_MS);
    const askedAtMs = Date.now();
    process.kill(pid, "SIGTERM");
    try {
      const row = await this.#next({ name, instance, pid }, deadline);
      if (name !== "discovery") await this.#untilListed(row, askedAtMs, deadline);
      await pause(CONNECT_MS);
      return row;
    } catch (error) {
      if (!deadline.aborted) throw error;
      const log = join(this.#dataDir, "logs", `${name}-${instance}.log`);
      throw new Error(`${name} (${instance}) did not come back in time; its log: ${log}`);
    }
  }

  /** The process that has taken the place of one, when it serves. */
  async #next(
    { name, instance, pid }: Pick<RunningProcess, "name" | "instance" | "pid">,
    deadline: AbortSignal,
  ): Promise<RunningProcess> {
    for (;;) {
      const rows = await this.processes();
      const row = rows.find((each) => each.name === name && each.instance === instance);
      if (row !== undefined && row.pid !== pid && (await serves(row))) return row;
      await pause(POLL_MS, undefined, { signal: deadline });
    }
  }

  /** Resolves when discovery knows the new process; one is enough, as all lists are merged. */
  async #untilListed(row: RunningProcess, askedAtMs: number, deadline: AbortSignal): Promise<void> {
    const target = (await this.processes()).find(({ name }) => name === "discovery")?.address;
    if (target === undefined) return;
    const tls = await openTls("--data", tlsDir(this.#dataDir, "operator"));
    const channel = new Channel({ service: "discovery", target, caller: "operator", tls });
    try {
      const rpc = channel.client(DiscoveryServiceService);
      const isNew = ({ httpAddress, startedAt }: Instance) =>
        httpAddress === row.httpAddress && Number(startedAt) >= askedAtMs;
      for (;;) {
        const listings = rpc.watch({}, deadline);
        for await (const { instances } of listings) if (instances.some(isNew)) return;
        // A stream ends without an error when the time is over, and when its discovery stops.
        await pause(POLL_MS, undefined, { signal: deadline });
      }
    } finally {
      channel.close();
    }
  }
}

async function serves({ httpAddress }: RunningProcess): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(HEALTH_TIMEOUT_MS);
    return (await fetch(`http://${httpAddress}/healthz`, { signal })).ok;
  } catch {
    return false;
  }
}

main().catch((error) => {
  console.error(sentence(error));
  process.exitCode = 1;
});
