/** The life of a process: read the configuration, start its programs, drain, stop. */
import { randomUUID } from "node:crypto";
import { ConfigError } from "./config.js";
import { LocalNetwork } from "./local.js";
import type { Log } from "./log.js";
import type { Opened, Program, Running } from "./program.js";
import { startTracing } from "./tracing.js";

/** sysexits.h: the configuration is wrong, so starting again would not help. */
const EX_CONFIG = 78;
/**
 * What a stop may take beside draining and finishing; then it hangs, and is ended with a word about
 * it, by default after 11 s: before the launcher kills at 12 s.
 */
const STOP_REST_MS = 2_700;

/**
 * Runs a program until SIGTERM or SIGINT, or until the launcher that started it is gone. Exits with
 * 78 and a list of faults when the configuration is wrong.
 */
export async function run(program: Program): Promise<void> {
  try {
    const { log, endMs, launch } = program.open();
    let running: Running | undefined;
    // Before it serves there is nothing to finish.
    stopOnSignal(log, endMs + STOP_REST_MS, async () => running?.stop());
    running = await launch();
    await running.listed;
    const { address, httpAddress } = running;
    tellLauncher({ address, httpAddress });
  } catch (error) {
    exitWith(error, program.name);
  }
}

/**
 * Runs programs in one process as `run` runs one. They find each other as `local:///name`. The
 * groups are started one after the other, and stopped in the reverse order. The last program is the
 * one that the process is asked for by: what is logged of the process is in its log, and what Node
 * says of the process among its metrics.
 */
export async function runTogether(
  name: string,
  groups: readonly (readonly Program[])[],
): Promise<void> {
  try {
    const opened = openAll(groups.flat());
    const last = [...opened.values()].at(-1);
    if (!last) throw new Error("There are no programs to run.");
    const running = new Map<Program, Running>();
    const stopTracing = await startTracing({
      ...last.tracing,
      service: name,
      instanceId: randomUUID(),
    });
    const endMs = Math.max(...[...opened.values()].map((each) => each.endMs));
    stopOnSignal(last.log, endMs + STOP_REST_MS, async () => {
      for (const group of groups.toReversed()) {
        await Promise.all(group.map((program) => running.get(program)?.stop()));
      }
      await stopTracing();
    });
    const network = new LocalNetwork();
    const launch = async (program: Program) => {
      const each = opened.get(program);
      if (each) running.set(program, await each.launch({ network, showsProcess: each === last }));
    };
    for (const group of groups) await Promise.all(group.map(launch));
    await Promise.all([...running.values()].map(({ listed }) => listed));
    const hosted = [...running].map(([{ name }, { address, httpAddress }]) => ({
      name,
      address,
      httpAddress,
    }));
    tellLauncher({ ...hosted.at(-1), hosted });
  } catch (error) {
    exitWith(error, name);
  }
}

/** Throws ConfigError with what is wrong for any of them. */
function openAll(programs: readonly Program[]): Map<Program, Opened> {
  const opened = new Map<Program, Opened>();
  const faults: string[] = [];
  for (const program of programs) {
    try {
      opened.set(program, program.open());
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      faults.push(error.message);
    }
  }
  if (faults.length > 0) throw new ConfigError(faults.join("\n"));
  return opened;
}

function tellLauncher(serving: object): void {
  if (process.connected) process.send?.({ type: "ready", ...serving });
}

function exitWith(error: unknown, name: string): never {
  const text = error instanceof ConfigError ? error.message : (error as Error).stack;
  process.stderr.write(`${name}: ${text}\n`);
  process.exit(error instanceof ConfigError ? EX_CONFIG : 1);
}

function stopOnSignal(log: Log, stopMs: number, stop: () => Promise<void>): void {
  let stopping = false;
  const end = (why: string) => async () => {
    if (stopping) return;
    stopping = true;
    log.info({ why }, "stopping");
    setTimeout(() => {
      log.error({ ms: stopMs }, "did not stop in time");
      process.exit(1);
    }, stopMs).unref();
    try {
      await stop();
      process.exit(0);
    } catch (error) {
      log.error({ err: error }, "did not stop cleanly");
      process.exit(1);
    }
  };
  process.on("SIGTERM", end("SIGTERM"));
  process.on("SIGINT", end("SIGINT"));
  const alone = end("the launcher is gone");
  process.on("disconnect", alone);
  // It may have gone while we started.
  if (process.send && !process.connected) void alone();
}
