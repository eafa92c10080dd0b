// npm run chaos: starts the real shop, breaks it while people buy, and holds the books to account.
import { audit, type Check } from "./audit.ts";
import { readBooks } from "./books.ts";
import { flash } from "./flash.ts";
import type { Journal } from "./journal.ts";
import { type Mode, type Options, readOptions, USAGE, UsageError } from "./options.ts";
import { checksText, type Row, stormRows, table, writeReport } from "./report.ts";
import { Restless, rest } from "./rest.ts";
import { sameKey } from "./same-key.ts";
import { faultText, planFaults } from "./schedule.ts";
import { type StormOptions, storm } from "./storm.ts";
import { RAISED, System } from "./system.ts";

const OFF = 1;
const RESTLESS = 2;
const USAGE_CODE = 64;

async function main(options: Options): Promise<number> {
  const settings = Object.entries(RAISED).map(([name, value]) => `${name}=${value}`);
  console.log(`${replayOf(options)}\nSettings  ${settings.join(" ")}`);
  const { replicas, direct } = options;
  const system = await System.start({ replicas, hasProxies: !direct });
  console.log(`Running on ${system.dataDir}`);
  let code = OFF;
  stopOnSignal(system);
  try {
    code = await runAndAudit(system, options);
  } catch (error) {
    if (!(error instanceof Restless)) throw error;
    console.error(`\nThe shop did not come to rest.\n${error.message}`);
    code = RESTLESS;
  } finally {
    const keep = options.keep || code !== 0;
    await system.stop({ keep });
    if (keep) console.log(`\nThe data folder is kept: ${system.dataDir}`);
  }
  return code;
}

interface Run {
  readonly journal: Journal;
  readonly rows: readonly Row[];
  /** What is special to the run. */
  readonly checks: readonly Check[];
  readonly isOutOfTime: boolean;
}

async function runAndAudit(system: System, options: Options): Promise<number> {
  const run = await RUNS[options.mode](system, options);
  console.log(table("Done", run.rows));
  await rest(system, options.restSeconds * 1_000);
  const checks = [...run.checks, ...audit(await readBooks(system.shop), run.journal)];
  console.log(checksText(checks));
  if (options.report !== undefined) {
    const done = Object.fromEntries(run.rows);
    await writeReport(options.report, { replay: replayOf(options), done, checks });
  }
  return verdict(checks, run.isOutOfTime, options);
}

const RUNS: Readonly<Record<Mode, (system: System, options: Options) => Promise<Run>>> = {
  storm: runStorm,
  flash: async (system, options) => ({
    ...(await flash(system, options, console.log)),
    isOutOfTime: false,
  }),
  "same-key": async (system, options) => ({
    ...(await sameKey(system, options)),
    isOutOfTime: false,
  }),
};

async function runStorm(system: System, options: Options): Promise<Run> {
  const plan: StormOptions = { ...options, hasProxies: !options.direct };
  if (options.verbose) console.log(["Schedule", ...planFaults(plan).map(faultText)].join("\n  "));
  const said = options.verbose ? console.log : () => undefined;
  const result = await storm(system, plan, said);
  const { journal, isOutOfTime } = result;
  return { journal, rows: stormRows(result), checks: [], isOutOfTime };
}

function verdict(checks: readonly Check[], isOutOfTime: boolean, options: Options): number {
  const found = checks.reduce((sum, { differences }) => sum + differences.length, 0);
  console.log(`\n${found} differences. ${replayOf(options)}`);
  if (found > 0) return OFF;
  return isOutOfTime ? RESTLESS : 0;
}

function replayOf({ mode, seed, orders, kills, clients, only, direct }: Options): string {
  const words = [`npm run chaos -- --seed ${seed}`];
  if (mode !== "storm") words.push(`--${mode}`);
  else words.push(`--orders ${orders} --kills ${kills} --clients ${clients}`);
  if (only !== undefined) words.push(`--only ${only.join(",")}`);
  if (direct) words.push("--direct");
  return `Replay: ${words.join(" ")}`;
}

// Nothing of the run stays behind when it is interrupted.
function stopOnSignal(system: System): void {
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(name, () => {
      console.log("\nInterrupted; stopping the shop");
      void system.stop({ keep: false }).finally(() => process.exit(OFF));
    });
  }
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options.help) console.log(USAGE);
  else process.exitCode = await main(options);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\n${USAGE}`);
  process.exitCode = USAGE_CODE;
}
