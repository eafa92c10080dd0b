// One launcher per data folder. Its note in the folder names a port on which it answers with a
// token: a note whose launcher was killed is recognised even when its process id is another's now.
import { randomBytes } from "node:crypto";
import { rename, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { findText, isCode } from "./files.ts";

const ANSWER_TIMEOUT_MS = 2_000;
const ATTEMPTS = 20;
const POLL_MS = 50;

interface Note {
  readonly pid: number;
  readonly port: number;
  readonly token: string;
}

export class AlreadyRunning extends Error {}

/** Takes the folder until the returned function is called or this process ends. */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, "launcher.json");
  const token = randomBytes(16).toString("hex");
  const server = await answerWith(token);
  const { port } = server.address() as { port: number };
  const text = JSON.stringify({ pid: process.pid, port, token });
  try {
    await writeNote(path, text);
  } catch (error) {
    server.close();
    throw error;
  }
  return async () => {
    await rm(path, { force: true });
    server.close();
  };
}

async function answerWith(token: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.end(token);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(0, "127.0.0.1", resolve);
  });
  // It must not keep the process alive.
  return server.unref();
}

async function writeNote(path: string, text: string): Promise<void> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    try {
      await writeFile(path, text, { flag: "wx", mode: 0o600 });
      return;
    } catch (error) {
      if (!isCode(error, "EEXIST")) throw error;
    }
    const found = await findText(path);
    if (found === undefined) continue;
    const note = parse(found);
    // Another launcher is writing it at this moment, or was killed while it did.
    if (note === undefined && attempt < ATTEMPTS / 2) await pause(POLL_MS);
    else if (note !== undefined && (await answers(note))) {
      throw new AlreadyRunning(
        `piata is already running on ${path.slice(0, -"/launcher.json".length)} ` +
          `(process ${note.pid}). Stop it first, or use another folder: npm start -- --data DIR`,
      );
    } else await removeStale(path, found);
  }
  throw new Error(`${path} could not be written: other launchers keep doing so.`);
}

// Two launchers may find the same stale note. Only one of them gets to move it away, and the other
// must not remove what the first has written since.
async function removeStale(path: string, stale: string): Promise<void> {
  const aside = `${path}.${randomBytes(4).toString("hex")}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (isCode(error, "ENOENT")) return;
    throw error;
  }
  if ((await findText(aside)) === stale) await rm(aside, { force: true });
  else await rename(aside, path);
}

function parse(text: string): Note | undefined {
  try {
    return JSON.parse(text) as Note;
  } catch {
    return undefined;
  }
}

function answers({ port, token, pid }: Note): Promise<boolean> {
  return new Promise((resolve) => {
    let said = "";
    const socket = connect(port, "127.0.0.1");
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => {
      socket.destroy();
      // Connected but silent: it may be stopped in a debugger, and is there all the same.
      resolve(said === "" && isAlive(pid));
    });
    socket.on("data", (chunk) => {
      said += chunk.toString("latin1");
    });
    socket.on("error", () => resolve(false));
    socket.on("close", () => resolve(said === token));
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return isCode(error, "EPERM");
  }
}
