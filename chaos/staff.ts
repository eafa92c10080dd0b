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
/** Codes of a refund that asking again would not change. */
const VERDICTS = new Set(["FAILED_PRECONDITION", "INVALID_ARGUMENT", "PERMISSION_DENIED"]);
const REFUND = "mutation ($input: RefundOrderInput!) { refundOrder(input: $input) { id } }";

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

  /** Gives so much of an order back, or all that is left, with a key: until there is an answer. */
  async refund(purchase: Purchase, orderId: number, amountMinor?: number): Promise<void> {
    const refund: Refund = { key: randomUUID(), amountMinor, isAcknowledged: false };
    purchase.refunds.push(refund);
    const rest = patience();
    for (let tries = 0; tries < TRIES && !refund.isAcknowledged; tries += 1) {
      const input = { orderId, amountMinor, refundKey: refund.key };
      const outcome = await attempt(this.#client, this.#journal, REFUND, { input });
      if (outcome.kind === "done") refund.isAcknowledged = true;
      else if (VERDICTS.has(outcome.code)) return;
      else await rest();
    }
  }
}
