// Somebody of the shop's own, who gives money back.
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Client } from "@piata/testkit/client";
import { attempt, patience } from "./call.ts";
import type { Journal, Purchase, Refund } from "./journal.ts";
import type { System } from "./system.ts";

const COMMAND = join(import.meta.dirname, "../scripts/staff.ts");
const TRIES = 10;
const REFUND = `mutation ($orderId: Float!, $amountMinor: Float, $key: String!) {
  refundOrder(orderId: $orderId, amountMinor: $amountMinor, refundKey: $key) { __typename } }`;

export class Staff {
  readonly #client: Client;
  readonly #journal: Journal;

  private constructor(client: Client, journal: Journal) {
    this.#client = client;
    this.#journal = journal;
  }

  static async hire(system: System, journal: Journal): Promise<Staff> {
    const client = system.client();
    const user = await client.becomeNewUser();
    const args = [COMMAND, user.email, "--data", system.dataDir];
    await promisify(execFile)(process.execPath, args);
    await client.login(user);
    return new Staff(client, journal);
  }

  /** Gives one cent or all of it back, with a key, until there is an answer or patience is over. */
  async refund(purchase: Purchase, orderId: number): Promise<void> {
    const amountMinor = purchase.refunds.length % 2 === 0 ? 1 : 0;
    const refund: Refund = { key: randomUUID(), amountMinor, isAcknowledged: false };
    purchase.refunds.push(refund);
    const rest = patience();
    for (let tries = 0; tries < TRIES; tries += 1) {
      const variables = { orderId, amountMinor: amountMinor || null, key: refund.key };
      const outcome = await attempt(this.#client, this.#journal, REFUND, variables);
      if (outcome.kind === "done") {
        refund.isAcknowledged = true;
        return;
      }
      if (outcome.code === "FAILED_PRECONDITION" || outcome.code === "INVALID_ARGUMENT") return;
      await rest();
    }
  }
}
