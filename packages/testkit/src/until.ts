import { setTimeout as pause } from "node:timers/promises";

const POLL_MS = 25;

/**
 * Asks again until there is an answer other than undefined and false, and returns it. A check that
 * throws is asked again too; at the end of the time its last error is the cause.
 */
export async function until<T>(
  check: () => T | Promise<T>,
  { timeoutMs = 20_000, what = check.toString() }: { timeoutMs?: number; what?: string } = {},
): Promise<Exclude<T, undefined | false>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    let cause: unknown;
    try {
      const answer = await check();
      if (answer !== undefined && answer !== false) {
        return answer as Exclude<T, undefined | false>;
      }
    } catch (error) {
      cause = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`Waited ${timeoutMs} ms in vain for: ${what}`, { cause });
    }
    await pause(POLL_MS);
  }
}
