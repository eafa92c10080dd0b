// A whole shop for end-to-end tests: the real launcher, real processes, a data folder of its own.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Client } from "./client.js";
import { until } from "./until.js";

const SCRIPTS = join(import.meta.dirname, "../../../scripts");
const LAUNCHER = join(SCRIPTS, "start.mjs");
const ROLL = join(SCRIPTS, "roll.ts");
const START_TIMEOUT_MS = 90_000;
const STOP_TIMEOUT_MS = 60_000;
/** The databases that are not named after their service. */
const DATABASES: Readonly<Record<string, string>> = { access: "user" };

export interface ShopOptions {
  readonly replicas?: Readonly<Record<string, number>>;
  readonly env?: NodeJS.ProcessEnv;
  /** A folder of the test's own, which it removes; one is made, and removed by stop, without. */
  readonly dataDir?: string;
  readonly demo?: boolean;
  /** All programs in one process: starts sooner, for tests that are not about processes. */
  readonly compact?: boolean;
}

export interface ShopProcess {
  readonly name: string;
  /** From 1; it keeps its number and its addresses when it is started again. */
  readonly instance: number;
  readonly pid: number;
  readonly address: string;
  readonly httpAddress?: string;
}

export interface Shop {
  readonly url: string;
  readonly dataDir: string;
  readonly launcher: ChildProcess;
  /** What the launcher has printed. */
  output(): string;
  /** What DIR/run.json says now. */
  processes(): Promise<ShopProcess[]>;
  process(name: string, instance?: number): Promise<ShopProcess>;
  /** Ends one instance of a program; by default as a crash of the machine would. */
  kill(name: string, instance?: number, signal?: NodeJS.Signals): Promise<void>;
  /** Waits until another process has taken the place of this one and serves, and returns it. */
  successor(of: ShopProcess): Promise<ShopProcess>;
  /** Replaces the instances of these programs, or of all, by npm run roll; resolves to its words. */
  roll(...programs: string[]): Promise<string>;
  /** Until each program that should run does, and serves. */
  waitReady(): Promise<void>;
  /** With the role of the service. */
  databaseUrl(service: string): Promise<string>;
  client(token?: string): Client;
  /** Fails when the launcher does not end cleanly. */
  stop(): Promise<void>;
}

/** Starts the whole shop by its launcher, and resolves when it is ready. */
export async function startShop(options: ShopOptions = {}): Promise<Shop> {
  const dataDir = options.dataDir ?? (await newFolder());
  const launcher = launch(dataDir, options);
  let output = "";
  for (const stream of [launcher.stdout, launcher.stderr]) {
    stream?.on("data", (chunk: Buffer) => {
      output += chunk.toString("utf8");
    });
  }
  const removeFolder = async () => {
    if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
  };
  try {
    const url = await readyUrl(launcher);
    return shopOf({ url, dataDir, launcher, output: () => output, removeFolder });
  } catch (error) {
    await endLauncher(launcher);
    await removeFolder();
    throw new Error(`The shop did not start: ${(error as Error).message}\n${output}`);
  }
}

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "piata-shop-"));
  // PostgreSQL may run as another user, who has to get to its folder.
  await chmod(folder, 0o711);
  return folder;
}

function launch(dataDir: string, options: ShopOptions): ChildProcess {
  const { replicas = {}, env, demo, compact } = options;
  const counts = Object.entries(replicas).map(([name, count]) => `${name}=${count}`);
  const args = [LAUNCHER, "--port", "0", "--data", dataDir, "--replicas", counts.join(",")];
  if (!demo) args.push("--no-demo");
  if (compact) args.push("--compact");
  // The channel ends the shop when the test's process dies, however it does.
  return spawn(process.execPath, ["--max-semi-space-size=1", ...args], {
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    env: {
      ...process.env,
      NODE_TEST_CONTEXT: undefined,
      // At the end nobody will use the connections that fetch has kept.
      GATEWAY_IDLE_MS: "0",
      ...env,
    },
  });
}

function readyUrl(launcher: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(
      () => reject(new Error(`not ready after ${START_TIMEOUT_MS} ms`)),
      START_TIMEOUT_MS,
    );
    launcher.once("message", (message) => {
      clearTimeout(late);
      resolve((message as { url: string }).url);
    });
    launcher.once("exit", (code, signal) => {
      clearTimeout(late);
      reject(new Error(`it ended with ${code ?? signal}`));
    });
  });
}

interface Started {
  readonly url: string;
  readonly dataDir: string;
  readonly launcher: ChildProcess;
  readonly output: () => string;
  readonly removeFolder: () => Promise<void>;
}

function shopOf({ url, dataDir, launcher, output, removeFolder }: Started): Shop {
  const processes = async () => {
    const text = await readFile(join(dataDir, "run.json"), "utf8");
    return (JSON.parse(text) as { processes: ShopProcess[] }).processes;
  };
  const find = async (name: string, instance = 1) => {
    const rows = await processes();
    const found = rows.find((row) => row.name === name && row.instance === instance);
    if (found === undefined) throw new Error(`${name} (${instance}) is not running`);
    return found;
  };
  const expected = processes().then((rows) => rows.length);
  return {
    url,
    dataDir,
    launcher,
    output,
    processes,
    process: find,
    async kill(name, instance = 1, signal = "SIGKILL") {
      const { pid } = await find(name, instance);
      process.kill(pid, signal);
      await until(() => !isAlive(pid), { what: `the end of ${name} (${instance})` });
    },
    successor: ({ name, instance, pid }) =>
      until(
        async () => {
          const row = await find(name, instance);
          return row.pid !== pid && (await allServe([row])) === 1 && row;
        },
        { timeoutMs: START_TIMEOUT_MS, what: `${name} (${instance}) to be back` },
      ),
    async roll(...programs) {
      const args = [ROLL, "--data", dataDir, ...programs];
      return (await promisify(execFile)(process.execPath, args)).stdout;
    },
    async waitReady() {
      const count = await expected;
      await until(async () => (await allServe(await processes())) === count, {
        timeoutMs: START_TIMEOUT_MS,
        what: "every program to serve",
      });
    },
    async databaseUrl(service) {
      const secrets = JSON.parse(await readFile(join(dataDir, "secrets.json"), "utf8"));
      const { address } = await find("postgres");
      const password = secrets[`database.${service}`];
      return `postgres://${service}:${password}@${address}/${DATABASES[service] ?? service}`;
    },
    client: (token) => new Client(url, token),
    async stop() {
      const left = await processes().catch(() => []);
      const code = await endLauncher(launcher);
      // Those of a launcher that the test has killed.
      await Promise.all(left.map(({ name, pid }) => endLeft(name, pid)));
      await removeFolder();
      if (code !== 0 && code !== "SIGKILL") {
        throw new Error(`The launcher ended with ${code}:\n${output()}`);
      }
    },
  };
}

/** How many of the processes are there and, if they have a health, are healthy. */
async function allServe(rows: readonly ShopProcess[]): Promise<number> {
  const serving = rows.map(async ({ httpAddress, pid }) => {
    if (httpAddress === undefined) return isAlive(pid);
    const { ok } = await fetch(`http://${httpAddress}/healthz`, {
      signal: AbortSignal.timeout(2_000),
    });
    return ok;
  });
  return (await Promise.all(serving)).filter(Boolean).length;
}

async function endLauncher(launcher: ChildProcess): Promise<number | string> {
  const ended = () => launcher.exitCode ?? launcher.signalCode;
  const left = ended();
  if (left !== null) return left;
  launcher.kill("SIGTERM");
  const insist = setTimeout(() => launcher.kill("SIGKILL"), STOP_TIMEOUT_MS);
  await new Promise((resolve) => launcher.once("exit", resolve));
  clearTimeout(insist);
  return ended() ?? "no exit code";
}

async function endLeft(name: string, pid: number): Promise<void> {
  if (!isAlive(pid)) return;
  process.kill(pid, name === "postgres" ? "SIGQUIT" : "SIGKILL");
  await until(() => !isAlive(pid), { what: `the end of ${name}` });
}

/** Whether the process still runs; a zombie does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  try {
    // The state follows the name, which may itself hold a parenthesis.
    const fields = readFileSync(`/proc/${pid}/stat`, "latin1");
    return fields[fields.lastIndexOf(")") + 2] !== "Z";
  } catch {
    return process.platform !== "linux";
  }
}
