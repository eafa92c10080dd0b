// Processes that an earlier run may have left, known only by a process id that was written down.
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { findJson, isCode } from "./files.ts";
import { COMPACT, mainOf } from "./programs.ts";

const END_TIMEOUT_MS = 10_000;
const POLL_MS = 20;

/** By it one sees whether the id is still that of the program meant. Empty when it has ended. */
export async function commandLine(pid: number): Promise<string> {
  try {
    if (process.platform === "linux") {
      return (await readFile(`/proc/${pid}/cmdline`, "utf8")).replaceAll("\0", " ");
    }
    if (process.platform === "win32") return "";
    return (await promisify(execFile)("ps", ["-o", "args=", "-p", String(pid)])).stdout;
  } catch {
    return "";
  }
}

/**
 * The programs of a launcher that was killed end by themselves, but not at once, and until then
 * the gateway has the port. Waits for those that the run file names, and insists after a while.
 */
export async function awaitLeftPrograms(runFile: string): Promise<void> {
  const left = await findJson<{ processes: { name: string; pid: number }[] }>(runFile);
  await Promise.all((left?.processes ?? []).map(awaitEnd));
}

async function awaitEnd({ name, pid }: { name: string; pid: number }): Promise<void> {
  for (let waitedMs = 0; await isProgram(pid, name); waitedMs += POLL_MS) {
    if (waitedMs >= END_TIMEOUT_MS) {
      try {
        process.kill(pid, "SIGKILL");
      } catch (error) {
        if (!isCode(error, "ESRCH")) throw error;
      }
    }
    await pause(POLL_MS);
  }
}

/** Whether the process is a program of that name, or the one that has all of them in it. */
async function isProgram(pid: number, name: string): Promise<boolean> {
  const line = await commandLine(pid);
  return line.includes(mainOf(name)) || line.includes(mainOf(COMPACT));
}
