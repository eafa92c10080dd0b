// npm start: the whole shop on this machine, one process per program, or one for all of them.
import { join, relative } from "node:path";
import { sentence } from "./files.ts";
import { type Options, readOptions, USAGE, UsageError } from "./options.ts";
import { type Instance, Shop, Stopped } from "./shop.ts";

const HEALTH_TIMEOUT_MS = 2_000;
// npm passes on a Ctrl-C that the terminal has already sent: one key press arrives twice.
const SECOND_SIGNAL_AFTER_MS = 1_000;
const root = join(import.meta.dirname, "..");

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2), process.env, root);
  if (options.help) return console.log(USAGE);
  console.log(`Starting piata; its data is in ${shown(options.dataDir)}`);
  const start = Date.now();
  const shop = new Shop(root, options, {
    done: (step, tookMs) => console.log(`  ${seconds(tookMs)}  ${step}`),
    said: (text) => console.log(`${new Date().toLocaleTimeString("en-GB")}  ${text}`),
  });
  stopOnSignal(shop);
  try {
    await shop.start();
  } catch (error) {
    if (error instanceof Stopped || isStopping) return;
    console.error(`\n${sentence(error)}`);
    process.exitCode = 1;
    await stop(shop);
    return;
  }
  const health = await Promise.all(shop.instances.map(healthOf));
  if (isStopping) return;
  console.log(table(shop.instances, health));
  console.log(farewell(shop, options, Date.now() - start));
  // Whoever started us as a child learns that we are ready, as we do from the programs.
  process.send?.({ type: "ready", url: shop.url });
}

let isStopping = false;

async function stop(shop: Shop): Promise<void> {
  if (isStopping) return;
  isStopping = true;
  await shop.stop();
  process.exit();
}

function stopOnSignal(shop: Shop): void {
  let asked: number | undefined;
  const ask = () => {
    const now = Date.now();
    if (asked === undefined) {
      asked = now;
      console.log("\nStopping; once more to end everything at once");
      stop(shop).catch((error) => {
        console.error(sentence(error));
        process.exit(1);
      });
    } else if (now - asked > SECOND_SIGNAL_AFTER_MS) {
      shop.kill();
      process.exit(0);
    }
  };
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, ask);
  // Set when a test or another program has started us as its child: without it, we end too.
  process.on("disconnect", ask);
  // The reader of our output may go away (npm start | head); the shop goes on.
  for (const output of [process.stdout, process.stderr]) output.on("error", () => undefined);
}

async function healthOf({ httpAddress }: Instance): Promise<string> {
  try {
    const { status } = await fetch(`http://${httpAddress}/healthz`, {
      signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS),
    });
    return status === 200 ? "healthy" : `not healthy (${status})`;
  } catch {
    return "no answer";
  }
}

function table(programs: readonly Instance[], health: readonly string[]): string {
  const rows = programs.map(({ name, instance, pid, address }, index) => [
    instance === 1 ? name : `${name} (${instance})`,
    String(pid ?? "-"),
    address,
    health[index] ?? "",
  ]);
  const lines = [["program", "pid", "address", "health"], ...rows].map(
    ([name = "", pid = "", address = "", state = ""]) =>
      `  ${name.padEnd(13)}  ${pid.padStart(7)}  ${address.padEnd(21)}  ${state}`,
  );
  return `\n${lines.join("\n")}\n`;
}

function farewell(shop: Shop, { dataDir }: Options, tookMs: number): string {
  const discovery = shop.instances.find(({ name }) => name === "discovery")?.httpAddress;
  const sandbox = (process.env.PAYMENT_PROVIDER ?? "sandbox") === "sandbox";
  return [
    `GraphQL   ${shop.url}   (open it in a browser for GraphiQL)`,
    ...(sandbox ? ["Payments  go to a sandbox: no money moves"] : []),
    `Instances http://${discovery}   (who runs, where, and how they are)`,
    `Logs      ${shown(join(dataDir, "logs"))}`,
    "Stop      Ctrl-C",
    `Ready in ${seconds(tookMs).trim()}`,
  ].join("\n");
}

function shown(path: string): string {
  const near = relative(process.cwd(), path);
  return near.startsWith("..") ? path : near;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1).padStart(5)} s`;
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}
