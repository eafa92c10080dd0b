// Placing an order as a careful client does, and watching it to its end.
import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "@piata/testkit/client";
import { attempt, patience } from "./call.ts";
import type { Journal, Purchase } from "./journal.ts";

const POLL_MS = 8;
const POLL_MS_MAX = 200;

const ORDER = `mutation ($paymentMethod: String, $key: String) {
  initOrder(paymentMethod: $paymentMethod, idempotencyKey: $key) { orderId } }`;
const STATUS = "query ($orderId: Float!) { orderStatus(orderId: $orderId) { value } }";

/** Once. True when there was an answer that stays: an id, or a refusal. */
export async function sendOrder(
  client: Client,
  journal: Journal,
  purchase: Purchase,
): Promise<boolean> {
  const { paymentMethod, key } = purchase;
  const outcome = await attempt<{ initOrder: { orderId: number } }>(client, journal, ORDER, {
    paymentMethod,
    key,
  });
  if (outcome.kind === "done") {
    journal.acknowledge(purchase, outcome.data.initOrder.orderId);
    return true;
  }
  if (outcome.code !== "FAILED_PRECONDITION") return false;
  purchase.refusals.push(outcome.reason);
  return true;
}

/** Again, after a send that was not answered, until there is an answer or the time is up. */
export async function repeatOrder(
  client: Client,
  journal: Journal,
  purchase: Purchase,
  signal?: AbortSignal,
): Promise<void> {
  const rest = patience();
  let isAnswered = false;
  while (!isAnswered && !signal?.aborted) {
    await rest();
    journal.repeats += 1;
    isAnswered = await sendOrder(client, journal, purchase);
  }
}

/** The final state of a placed order, by what is shown; undefined when the time is up. */
export async function watchOrder(
  client: Client,
  journal: Journal,
  purchase: Purchase,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const [orderId] = purchase.orderIds;
  for (let pauseMs = POLL_MS; !signal?.aborted; pauseMs = Math.min(pauseMs * 1.5, POLL_MS_MAX)) {
    await pause(pauseMs);
    const outcome = await attempt<{ orderStatus: { value: string } }>(client, journal, STATUS, {
      orderId,
    });
    if (outcome.kind === "done") {
      const { value } = outcome.data.orderStatus;
      if (journal.saw(purchase, value)) return value;
    } else if (outcome.code === "NOT_FOUND") {
      journal.saw(purchase, outcome.code);
    }
  }
  return undefined;
}
