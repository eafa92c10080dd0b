// npm run bench: what the real shop does on this machine, and the limits beside it.
import { writeFile } from "node:fs/promises";
import { availableParallelism, cpus, totalmem } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { Bench } from "./bench.ts";
import { page } from "./html.ts";
import { type Options, readOptions, USAGE, UsageError } from "./options.ts";
import { memoryText, plain, resultText, verdictsText } from "./report.ts";
import { measureGroup, type Result } from "./results.ts";
import { groupsWith, needs } from "./scenarios.ts";
import { growthText, soak } from "./soak.ts";
import { RAISED } from "./system.ts";
import { verdicts } from "./targets.ts";

const FAILED = 1;
const USAGE_CODE = 64;
const PRODUCTS = 1_000;
const CATEGORIES = 20;
const CUSTOMERS = 200;
/** What is left of the start is done by then. */
const SETTLE_MS = 3_000;
/** Of each round, before what counts: connections open, batches form. */
const LEAD_MS = 300;

let open: Bench | undefined;

async function main(options: Options): Promise<number> {
  const settings = Object.entries(RAISED).map(([name, value]) => `${name}=${value}`);
  console.log(`Settings  ${settings.join(" ")}`);
  // Two purchases of one customer at once would share a cart.
  const customers = Math.max(CUSTOMERS, ...options.connections);
  const stock = { products: PRODUCTS, categories: CATEGORIES, customers };
  const bench = await Bench.open({ compact: options.compact, stock, isRestarted: true });
  open = bench;
  try {
    return await measure(bench, options);
  } finally {
    await bench.close();
  }
}

async function measure(bench: Bench, options: Options): Promise<number> {
  const about = await describe(bench);
  console.log(about.join("\n"));
  await pause(SETTLE_MS);
  const idle = bench.system.processes.memory();
  console.log(memoryText("Idle", idle));
  await bench.begin();
  if (options.soakMinutes !== undefined) {
    const result = await soak(bench, options.soakMinutes, console.log);
    console.log(growthText(result));
    await write(options, { about, idle, soak: result, results: [], verdicts: [] });
    return result.errors === 0 ? 0 : FAILED;
  }
  const results = await runGroups(bench, options);
  await bench.rest();
  const loaded = bench.system.processes.memory();
  console.log(memoryText("\nAfter the load", loaded));
  const { starts } = bench;
  const found = verdicts({ results, starts, isCompact: options.compact, idle });
  console.log(`\n${verdictsText(found)}`);
  await write(options, { about, idle, loaded, starts, results, verdicts: found });
  const errors = results.reduce((sum, result) => sum + result.errors, 0);
  if (errors > 0) console.error(`\n${errors} wrong answers.`);
  return errors === 0 ? 0 : FAILED;
}

async function runGroups(bench: Bench, options: Options): Promise<Result[]> {
  const groups = groupsWith(options.only);
  const span = { leadMs: LEAD_MS, ms: options.seconds * 1_000 };
  const lengths = { span, rounds: options.rounds, warmUpMs: options.warmUpSeconds * 1_000 };
  const warm = new Set<string>();
  const results: Result[] = [];
  for (const group of groups) {
    // Not before: it is not to take anything from the others.
    if (needs([group], "uncached")) await bench.openUncached();
    console.log(`\n${group.name}`);
    for (const connections of group.connections ?? options.connections) {
      const found = await measureGroup(bench, group, connections, lengths, warm);
      console.log(found.map(resultText).join("\n"));
      results.push(...found);
    }
  }
  return results;
}

/** What was measured, and on what. */
async function describe(bench: Bench): Promise<string[]> {
  const url = await bench.system.superuserUrl();
  const shows = ["fsync", "synchronous_commit", "full_page_writes", "server_version"];
  const said: string[] = [];
  for (const name of shows) {
    const [row] = await bench.system.rows(url, `show ${name}`);
    said.push(`${name} ${row?.[name]}`);
  }
  const safe = said.includes("fsync on") && said.includes("synchronous_commit on");
  if (!safe) throw new Error(`PostgreSQL does not keep what it commits: ${said.join(", ")}.`);
  const { newMs, againMs } = bench.starts;
  const { productIds, categoryIds, customers } = bench.world;
  const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
  return [
    `Machine   ${availableParallelism()} CPUs (${cpus()[0]?.model}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`,
    `Database  ${said.join(", ")}`,
    `Shop      ${productIds.length} products, ${categoryIds.length} categories, ${customers.length} customers`,
    `Start     ${seconds(newMs)} to the first answer of a new shop, ${seconds(againMs)} on its data`,
    "Purchase  addToCart, initOrder, then orderStatus until PAID: at once, after 10 ms, and 1.5 times as long each time",
  ];
}

async function write({ json, html }: Options, report: Parameters<typeof page>[0]): Promise<void> {
  if (json !== undefined) await writeFile(json, `${JSON.stringify(report, plain, 2)}\n`);
  if (html !== undefined) await writeFile(html, page(report));
}

// Nothing of the run stays behind when it is interrupted.
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(name, () => {
    console.log("\nInterrupted; stopping the shop");
    void (open?.close() ?? Promise.resolve()).finally(() => process.exit(FAILED));
  });
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options.help) console.log(USAGE);
  else if (process.platform !== "linux") throw new UsageError("The bench needs Linux.");
  else process.exitCode = await main(options);
} catch (error) {
  console.error((error as Error).message);
  if (error instanceof UsageError) console.error(`\n${USAGE}`);
  process.exitCode = error instanceof UsageError ? USAGE_CODE : FAILED;
}
