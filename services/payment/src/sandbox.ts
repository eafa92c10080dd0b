/**
 * The sandbox: a provider that takes no money and fails on demand. What it decides is in a ledger of
 * its own, committed before it answers, so that it can be asked what is true, as a real one can.
 */
import { setTimeout as pause } from "node:timers/promises";
import { coalesce } from "@piata/kit/coalesce";
import { type Database, statement } from "@piata/kit/pg";
import type { Verdict } from "./payment.js";
import type { ChargeRequest, Provider } from "./provider.js";

// What a batched call of the service's charges fits in one statement.
const ROWS_MAX = 1_000;

const CHARGED: Verdict = { state: "CHARGED", declineReason: "" };
const VOID: Verdict = { state: "VOID", declineReason: "" };
const declined = (declineReason: string): Verdict => ({ state: "DECLINED", declineReason });

/** What it decides, by the payment method. */
const VERDICTS: ReadonlyMap<string, Verdict> = new Map([
  ["", CHARGED],
  ["success", CHARGED],
  ["declined", declined("CARD_DECLINED")],
  ["slow", CHARGED],
  ["answer-lost", CHARGED],
  ["answer-lost-before", CHARGED],
]);
const METHOD_UNKNOWN = declined("PAYMENT_METHOD_UNKNOWN");

interface Entry extends Verdict {
  key: string;
  amountMinor: number;
  currencyCode: string;
}

interface Written {
  /** What the ledger says. */
  verdict: Verdict;
  /** True when this call is what decided it. */
  isNew: boolean;
}

interface LedgerRow extends Verdict {
  key: string;
  isNew: boolean;
}

export interface SandboxOptions {
  /** How long a charge by `slow` takes. */
  slowMs: number;
}

export class Sandbox implements Provider {
  readonly #db: Database;
  readonly #slowMs: number;

  readonly #write = coalesce<Entry, Written>({
    name: "the sandbox's ledger",
    maxItems: ROWS_MAX,
    send: (entries) => this.#writeAll(entries),
  });

  readonly #find = coalesce<string, Verdict | undefined>({
    name: "the sandbox's ledger",
    maxItems: ROWS_MAX,
    key: (key) => key,
    send: async (keys) => {
      const rows = byKey(await this.#db.rows<LedgerRow>(FIND_ENTRIES, [keys]));
      return keys.map((key) => rows.get(key)).map((row) => row && verdictOf(row));
    },
  });

  /** The database is the sandbox's own: never the one that the service's store is on. */
  constructor(db: Database, { slowMs }: SandboxOptions) {
    this.#db = db;
    this.#slowMs = slowMs;
  }

  async charge({ key, amountMinor, currencyCode, method }: ChargeRequest): Promise<Verdict> {
    if (method === "answer-lost-before" && (await this.#isFirstCall(key))) {
      throw new Error("The sandbox lost the call.");
    }
    if (method === "slow") await pause(this.#slowMs);
    const verdict = VERDICTS.get(method) ?? METHOD_UNKNOWN;
    const written = await this.#write({ key, amountMinor, currencyCode, ...verdict });
    if (method === "answer-lost" && written.isNew) throw new Error("The sandbox lost the answer.");
    return written.verdict;
  }

  find(key: string): Promise<Verdict | undefined> {
    return this.#find(key);
  }

  async cancel(key: string): Promise<Verdict> {
    return (await this.#write({ key, amountMinor: 0, currencyCode: "", ...VOID })).verdict;
  }

  async #isFirstCall(key: string): Promise<boolean> {
    return (await this.#db.rows(LOSE_CALL, [key])).length > 0;
  }

  async #writeAll(entries: Entry[]): Promise<Written[]> {
    const keys = entries.map(({ key }) => key);
    const rows = byKey(
      await this.#db.rows<LedgerRow>(WRITE_ENTRIES, [
        keys,
        entries.map(({ state }) => state),
        entries.map(({ amountMinor }) => amountMinor),
        entries.map(({ currencyCode }) => currencyCode),
        entries.map(({ declineReason }) => declineReason),
      ]),
    );
    // A statement does not see what was committed beside it.
    const unseen = keys.filter((key) => !rows.has(key));
    if (unseen.length > 0) {
      const raced = await this.#db.rows<LedgerRow>(FIND_ENTRIES, [unseen]);
      for (const row of raced) rows.set(row.key, row);
    }
    return keys
      .map((key) => rows.get(key) as LedgerRow)
      .map((row) => ({ verdict: verdictOf(row), isNew: row.isNew }));
  }
}

const byKey = (rows: LedgerRow[]) => new Map(rows.map((row) => [row.key, row]));

const verdictOf = ({ state, declineReason }: Verdict): Verdict => ({ state, declineReason });

// In key order, so that two instances with the same keys never wait for each other's rows.
const WRITE_ENTRIES = statement(
  "write_entries",
  `with written as (
     insert into sandbox.ledger (key, state, amount_minor, currency_code, decline_reason)
     select key, state, amount_minor, currency_code, decline_reason
       from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[])
         as entry (key, state, amount_minor, currency_code, decline_reason)
      order by key
     on conflict (key) do nothing
     returning key, state, decline_reason
   )
   select key, state, decline_reason as "declineReason", true as "isNew" from written
    union all
   select key, state, decline_reason, false from sandbox.ledger where key = any($1)`,
);

const FIND_ENTRIES = statement(
  "find_entries",
  `select key, state, decline_reason as "declineReason", false as "isNew"
     from sandbox.ledger
    where key = any($1)`,
);

const LOSE_CALL = statement(
  "lose_call",
  `insert into sandbox.lost_calls (key) values ($1) on conflict (key) do nothing returning key`,
);
