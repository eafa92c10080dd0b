/** Hashing is the only long work of the shop, and whoever waits for it can wait a little longer. */
import { readdir, readFile } from "node:fs/promises";
import { setPriority } from "node:os";

/** A third of the CPU that a thread of everybody else's gets, where both want it. */
const NICENESS = 5;
/** As libuv names the threads of its pool, which hash. */
const WORKER = "libuv-worker";
const THREADS = "/proc/self/task";

/**
 * Lets the threads that hash stand back behind all other work on the machine. They must be there: libuv
 * starts them when the first is needed. Nothing where threads have no priorities of their own (all but
 * Linux) or may not change them. Returns how many do.
 */
export async function standBack(): Promise<number> {
  const threads = await readdir(THREADS).catch(() => []);
  let count = 0;
  for (const thread of threads) {
    try {
      const name = await readFile(`${THREADS}/${thread}/comm`, "utf8");
      if (name.trimEnd() !== WORKER) continue;
      // To Linux each thread is a process of its own here.
      setPriority(Number(thread), NICENESS);
      count += 1;
    } catch {
      // It has ended, or it is not ours to change: then all have the same turn, as elsewhere.
    }
  }
  return count;
}
