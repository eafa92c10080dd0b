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

/** A line for each order, and each refund, that somebody has to look at again. */
async function openOrders(system: System): Promise<string[]> {
  const refunds = (service: string) => dueIn(system, service, "refunds", DUE_REFUNDS);
  const orders = await dueIn(system, "order", "orders", DUE_ORDERS);
  return [...orders, ...(await refunds("order")), ...(await refunds("payment"))];
}

async function dueIn(
  system: System,
  service: string,
  table: string,
  sql: string,
): Promise<string[]> {
  const client = await system.database(service);
  try {
    const there = await client.query("select to_regclass($1) as found", [table]);
    if (there.rows[0]?.found === null) return [];
    const { rows } = await client.query<{ due: string }>(sql);
    return rows.map(({ due }) => due);
  } finally {
    await client.end();
  }
}

const DUE_ORDERS = `
  select format('order %s is %s since %s, tried %s times, due at %s (trace %s)',
                id, state, updated_at, tries, next_try_at, trace_id) as due
    from orders
   where next_try_at is not null
   order by id`;

const DUE_REFUNDS = `
  select format('refund %s of order %s is %s since %s, tried %s times, due at %s',
                refund_key, order_id, state, updated_at, tries, next_try_at) as due
    from refunds
   where next_try_at is not null
   order by order_id`;

function causeOf({ message, cause }: Error): string {
  return cause instanceof Error ? `${message} (${cause.message})` : message;
}
