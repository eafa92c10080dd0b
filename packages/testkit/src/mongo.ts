// A server of MongoDB's protocol for tests: one that is given, or a program on the PATH.
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { MongoClient } from "mongodb";
import { didNotRun } from "./did-not-run.js";
import { freePort } from "./free-port.js";

const START_ATTEMPTS = 3;
const START_TIMEOUT_MS = 20_000;

export interface Mongo {
  readonly url: string;
  /**
   * FerretDB reads, changes and writes a document without a transaction around it: what a mongod
   * promises about concurrent changes cannot be tested on it.
   */
  readonly kind: "mongod" | "ferretdb";
  stop(): Promise<void>;
}

/** Undefined when this machine has none; then say so with `didNotRun`. */
export async function startMongo(): Promise<Mongo | undefined> {
  const url = process.env.MONGODB_URL;
  if (url) return { url, kind: await kindOf(url), stop: async () => undefined };
  for (const kind of ["mongod", "ferretdb"] as const) {
    const program = await findProgram(kind);
    if (program === undefined) continue;
    try {
      return await start(program, kind);
    } catch (error) {
      didNotRun(program, (error as Error).message);
    }
  }
  return undefined;
}

async function start(program: string, kind: Mongo["kind"]): Promise<Mongo> {
  for (let attempt = 1; ; attempt++) {
    const folder = await mkdtemp(join(tmpdir(), "piata-mongo-"));
    const port = await freePort();
    const server = spawn(program, argumentsOf(kind, { folder, port }), {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const stop = async () => {
      await end(server);
      await rm(folder, { recursive: true, force: true });
    };
    const url = `mongodb://127.0.0.1:${port}/?directConnection=true`;
    const failure = await waitUntilReady(server, url);
    if (failure === undefined) return { url, kind, stop };
    await stop();
    // Another program may have taken the port between our look and the bind.
    if (attempt === START_ATTEMPTS) throw new Error(`it did not start: ${failure.trim()}`);
  }
}

function argumentsOf(
  kind: Mongo["kind"],
  { folder, port }: { folder: string; port: number },
): string[] {
  if (kind === "mongod") {
    const address = ["--bind_ip", "127.0.0.1", "--port", String(port)];
    return ["--dbpath", folder, "--nounixsocket", "--quiet", ...address];
  }
  return [
    "--handler=sqlite",
    `--sqlite-url=file:${folder}/`,
    `--state-dir=${folder}`,
    `--listen-addr=127.0.0.1:${port}`,
    "--debug-addr=-",
    "--telemetry=disable",
    "--log-level=WARN",
  ];
}

/** What went wrong, or undefined when the server answers. */
async function waitUntilReady(server: ChildProcess, url: string): Promise<string | undefined> {
  let said = "";
  for (const output of [server.stdout, server.stderr]) {
    output?.on("data", (chunk: Buffer) => {
      said = `${said}${chunk.toString("utf8")}`.slice(-2_000);
    });
  }
  const ended = new Promise<string>((resolve) => {
    server.once("error", (error) => resolve(error.message));
    server.once("exit", () => resolve(said || "it ended without a word"));
  });
  const client = new MongoClient(url, { serverSelectionTimeoutMS: START_TIMEOUT_MS });
  const answered = client
    .db("admin")
    .command({ ping: 1 })
    .then(
      () => undefined,
      (error: Error) => error.message,
    );
  try {
    return await Promise.race([answered, ended]);
  } finally {
    await client.close();
  }
}

async function end(server: ChildProcess): Promise<void> {
  if (server.pid === undefined || server.exitCode !== null || server.signalCode !== null) return;
  const ended = new Promise((resolve) => server.once("exit", resolve));
  // Its data is thrown away: there is nothing to shut down for.
  server.kill("SIGKILL");
  await ended;
}

async function kindOf(url: string): Promise<Mongo["kind"]> {
  const client = new MongoClient(url);
  try {
    const build = await client.db("admin").command({ buildInfo: 1 });
    return "ferretdb" in build || "ferretdbVersion" in build ? "ferretdb" : "mongod";
  } finally {
    await client.close();
  }
}

async function findProgram(name: string): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const path = join(folder, process.platform === "win32" ? `${name}.exe` : name);
    try {
      await access(path, constants.X_OK);
      if ((await stat(path)).isFile()) return path;
    } catch {
      // Not in this folder; the next one may have it.
    }
  }
  return undefined;
}
