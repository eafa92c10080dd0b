// The embedded PostgreSQL: the real server, from the binaries of an npm package, run by us.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { chown, glob, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import { findText, isCode } from "./files.ts";
import { binariesFolder, prepareOwner, type RunAs } from "./postgres-home.ts";
import { commandLine } from "./processes.ts";

const START_TIMEOUT_MS = 60_000;
const FAST_SHUTDOWN_MS = 20_000;
const IMMEDIATE_SHUTDOWN_MS = 5_000;
const POLL_MS = 20;
const START_ATTEMPTS = 5;
// Larger than any process id there is.
const NO_PROCESS = 2 ** 31 - 1;

const SETTINGS = {
  listen_addresses: "127.0.0.1",
  // TCP only: the path of a Unix socket is limited to 107 bytes, a data folder's is not.
  unix_socket_directories: "",
  max_connections: "200",
  shared_buffers: "128MB",
  timezone: "UTC",
  log_timezone: "UTC",
};

export interface PostgresOptions {
  /** Made on the first start; holds the cluster and the superuser's password. */
  readonly dataDir: string;
  /** A free port is found when there is none given. */
  readonly port?: number;
  /** Settings of postgresql.conf, such as `{ fsync: "off" }` in tests. */
  readonly settings?: Readonly<Record<string, string>>;
  /** The server appends its log to this file. */
  readonly log: string;
}

export interface Postgres {
  readonly port: number;
  readonly pid: number;
  readonly superuserUrl: string;
  /** Resolves when the server has ended, however it came to it. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

/** What it takes to run a program of the server on one data folder. */
interface Home {
  readonly bin: string;
  readonly cluster: string;
  readonly runAs: RunAs | undefined;
  readonly log: string;
}

export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const native = await binariesFolder();
  const runAs = await prepareOwner(options.dataDir, native);
  const cluster = join(options.dataDir, "cluster");
  const home = { bin: join(native, "bin"), cluster, runAs, log: options.log };
  const password = await getPassword(options.dataDir, runAs);
  await initOnce(home, join(options.dataDir, "password"));
  await endStaleServer(home);

  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort());
    const superuserUrl = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
    const logged = await sizeOf(options.log);
    const server = run(home, { ...SETTINGS, ...options.settings, port: String(port) });
    const failure = await waitUntilReady(server, superuserUrl);
    if (failure === undefined) return serverOf(server, { home, port, superuserUrl });
    const written = (await readFile(options.log)).subarray(logged).toString("utf8");
    // Either the port was taken between our look and the bind, or backends of a server that was
    // killed a moment ago are still ending: both pass.
    const passing = /could not bind|is still in use/.test(written);
    if (!passing || attempt === START_ATTEMPTS) {
      throw new Error(`PostgreSQL did not start: ${failure}\n${written.trim()}`.trim());
    }
    await pause(100 * attempt);
  }
}

async function getPassword(dataDir: string, runAs: RunAs | undefined): Promise<string> {
  const path = join(dataDir, "password");
  const found = (await findText(path))?.trim();
  if (found) return found;
  const password = randomBytes(24).toString("hex");
  // initdb reads the file, so it belongs to the user that PostgreSQL runs as.
  await writeFile(path, password, { mode: 0o600 });
  if (runAs !== undefined) await chown(path, runAs.uid, runAs.gid);
  return password;
}

async function initOnce(home: Home, passwordFile: string): Promise<void> {
  if ((await findText(join(home.cluster, "PG_VERSION"))) !== undefined) return;
  // Made aside and renamed, so that an initdb that was killed leaves nothing that looks finished.
  const unfinished = `${home.cluster}.new`;
  await rm(unfinished, { recursive: true, force: true });
  const args = ["--pgdata", unfinished, "--username=postgres", `--pwfile=${passwordFile}`];
  args.push("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions");
  args.push("--locale-provider=builtin", "--builtin-locale=C.UTF-8");
  try {
    await promisify(execFile)(join(home.bin, "initdb"), args, {
      ...home.runAs,
      cwd: "/",
      env: environment(),
    });
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new Error(`PostgreSQL could not make its data folder: ${stderr?.trim() || message}`);
  }
  await rename(unfinished, home.cluster);
}

function run(home: Home, settings: Readonly<Record<string, string>>): ChildProcess {
  const args = ["-D", home.cluster];
  for (const [name, value] of Object.entries(settings)) args.push("-c", `${name}=${value}`);
  const log = openSync(home.log, "a", 0o600);
  try {
    // A process group of its own: Ctrl-C in the terminal must not end the server before the
    // programs that use it.
    return spawn(join(home.bin, "postgres"), args, {
      ...home.runAs,
      cwd: "/",
      env: environment(),
      detached: true,
      windowsHide: true,
      stdio: ["ignore", log, log],
    });
  } finally {
    closeSync(log);
  }
}

async function sizeOf(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  return found?.size ?? 0;
}

// Nothing of the caller's PG* variables or locale reaches the server.
function environment(): NodeJS.ProcessEnv {
  const { PATH = "", SystemRoot } = process.env;
  return { PATH, LC_ALL: "C", ...(SystemRoot === undefined ? {} : { SystemRoot }) };
}

/** What went wrong, or undefined when the server answers. */
async function waitUntilReady(server: ChildProcess, url: string): Promise<string | undefined> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  let ended: string | undefined;
  server.once("error", (error) => (ended = error.message));
  server.once("exit", () => (ended ??= "it ended again"));
  for (;;) {
    if (ended !== undefined) return ended;
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
    try {
      await client.connect();
      return undefined;
    } catch (error) {
      // 57P03: it is starting up or recovering.
      const starting = isCode(error, "ECONNREFUSED", "ECONNRESET", "57P03");
      if (!starting || Date.now() > deadline) {
        await end(server);
        return (error as Error).message;
      }
    } finally {
      await client.end().catch(() => undefined);
    }
    await pause(POLL_MS);
  }
}

function serverOf(
  server: ChildProcess,
  { home, port, superuserUrl }: { home: Home; port: number; superuserUrl: string },
): Postgres {
  const ended = exitOf(server);
  return {
    port,
    superuserUrl,
    pid: server.pid as number,
    ended,
    async stop() {
      await signal(home, server.pid as number, "INT");
      if (await within(FAST_SHUTDOWN_MS, ended)) return;
      await signal(home, server.pid as number, "QUIT");
      if (!(await within(IMMEDIATE_SHUTDOWN_MS, ended))) await end(server);
    },
  };
}

async function end(server: ChildProcess): Promise<void> {
  if (server.pid === undefined) return;
  const ended = exitOf(server);
  server.kill("SIGKILL");
  await ended;
}

function exitOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once("exit", () => resolve()));
}

async function within(timeoutMs: number, done: Promise<void>): Promise<boolean> {
  const timeout = new AbortController();
  const late = pause(timeoutMs, false, { signal: timeout.signal }).catch(() => false);
  const inTime = await Promise.race([done.then(() => true), late]);
  timeout.abort();
  return inTime;
}

// INT is PostgreSQL's fast shutdown (disconnect all, checkpoint), QUIT the immediate one.
async function signal(home: Pick<Home, "bin">, pid: number, name: "INT" | "QUIT"): Promise<void> {
  try {
    if (process.platform !== "win32") process.kill(pid, `SIG${name}`);
    else await promisify(execFile)(join(home.bin, "pg_ctl"), ["kill", name, String(pid)]);
  } catch (error) {
    if (!isCode(error, "ESRCH")) throw error;
  }
}

/** Ends the servers whose data is anywhere in the folder: those of tests that were killed. */
export async function endServersIn(folder: string): Promise<void> {
  const bin = join(await binariesFolder(), "bin");
  for await (const lock of glob("**/cluster/postmaster.pid", { cwd: folder })) {
    await endStaleServer({ bin, cluster: join(folder, dirname(lock)) });
  }
}

/** Ends the server of an earlier run on this folder, whose launcher was killed. */
async function endStaleServer(home: Pick<Home, "bin" | "cluster">): Promise<void> {
  const lock = join(home.cluster, "postmaster.pid");
  const text = await findText(lock);
  if (text === undefined) return;
  const pid = Number(text.split("\n", 1)[0]);
  for (const [name, patienceMs] of [
    ["INT", FAST_SHUTDOWN_MS],
    ["QUIT", IMMEDIATE_SHUTDOWN_MS],
  ] as const) {
    if (!(await isServerOf(home, pid))) break;
    await signal(home, pid, name);
    for (let waited = 0; waited < patienceMs; waited += POLL_MS) {
      if (!(await isServerOf(home, pid))) break;
      await pause(POLL_MS);
    }
  }
  if (await isServerOf(home, pid)) {
    throw new Error(`A PostgreSQL (process ${pid}) runs on ${home.cluster} and does not end.`);
  }
  // The id may be another process's by now (or a zombie's), and PostgreSQL would take that for a
  // running server. Only the id is replaced: the rest of the file lets PostgreSQL see for itself
  // whether backends of the old server are still alive.
  const left = await findText(lock);
  if (left !== undefined) await writeFile(lock, left.replace(/^\d+/, String(NO_PROCESS)));
}

async function isServerOf(home: Pick<Home, "cluster">, pid: number): Promise<boolean> {
  const command = await commandLine(pid);
  return command.includes("postgres") && command.includes(home.cluster);
}

/** A TCP port that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
