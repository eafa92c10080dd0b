// When a run is over: waits until everything runs and no order owes anything.
import { setTimeout as pause } from "node:timers/promises";
import type { System } from "./system.ts";

const POLL_MS = 100;
const SHOWN_MAX = 20;

/** The system did not come to rest in time. */
export class Restless extends Error {}

export async function rest(system: System, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  await system.shop.waitReady().catch((error: Error) => {
    throw new Restless(`Not every program is healthy: ${causeOf(error)}`);
  });
  for (;;) {
    const open = await openOrders(system).catch((error: Error) => [error.message]);
    if (open.length === 0) return;
    if (performance.now() > deadline) {
      const more = open.length > SHOWN_MAX ? [`and ${open.length - SHOWN_MAX} more`] : [];
      const lines = [...open.slice(0, SHOWN_MAX), ...more];
      throw new Restless(`After ${timeoutMs / 1000} s of rest:\n  ${lines.join("\n  ")}`);
    }
    await pause(POLL_MS);
  }
}

async function openOrders(system: System): Promise<string[]> {
  const client = await system.database("order");
  try {
    const { rows } = await client.query<{ order: string }>(
      `select format('order %s is %s since %s, tried %s times, due at %s (trace %s)',
                     id, state, updated_at, tries, next_try_at, trace_id) as order
         from orders
        where next_try_at is not null
        order by id`,
    );
    return rows.map(({ order }) => order);
  } finally {
    await client.end();
  }
}

function causeOf({ message, cause }: Error): string {
  return cause instanceof Error ? `${message} (${cause.message})` : message;
}
