/**
 * The sandbox: a provider that moves no money and fails on demand. What it decides is in a ledger
 * of its own, committed before it answers, so that it can be asked what is true, as a real one can.
 */
import { setTimeout as pause } from "node:timers/promises";
import { coalesce } from "@piata/kit/coalesce";
import type { Metrics } from "@piata/kit/metrics";
import { type Database, statement } from "@piata/kit/pg";
import type { Verdict } from "./payment.js";
import type {
  ChargeRequest,
  Provider,
  ProviderEntry,
  ProviderPage,
  RefundRequest,
} from "./provider.js";
import type { RefundVerdict } from "./refund.js";

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
  ["refund-refused", CHARGED],
  ["refund-answer-lost", CHARGED],
]);
const METHOD_UNKNOWN = declined("PAYMENT_METHOD_UNKNOWN");

interface Entry extends Verdict {
  key: string;
  amountMinor: number;
  currencyCode: string;
  method: string;
}

interface Written {
  /** What the ledger says. */
  verdict: Verdict;
  /** True when this call is what decided it. */
  isNew: boolean;
}

interface LedgerRow extends Verdict {
  key: string;
  method: string;
  isNew: boolean;
}

interface RefundRow extends RefundVerdict {
  isNew: boolean;
}

export interface SandboxOptions {
  metrics: Metrics;
  /** How long a charge by `slow` takes, and a refund of it. */
  slowMs: number;
}

/** A provider that takes no money and keeps an honest ledger. */
export class Sandbox implements Provider {
  readonly #db: Database;
  readonly #slowMs: number;

  readonly #write: (entry: Entry) => Promise<Written>;
  readonly #find: (key: string) => Promise<LedgerRow | undefined>;
  readonly findEntry: (key: string) => Promise<ProviderEntry | undefined>;

  /** The database is the sandbox's own: never the one that the service's store is on. */
  constructor(db: Database, { metrics, slowMs }: SandboxOptions) {
    this.#db = db;
    this.#slowMs = slowMs;
    this.#write = coalesce({
      ...metrics.batches("sandbox.write"),
      maxItems: ROWS_MAX,
      send: (entries: Entry[]) => this.#writeAll(entries),
    });
    this.#find = coalesce({
      ...metrics.batches("sandbox.find"),
      maxItems: ROWS_MAX,
      key: (key: string) => key,
      send: async (keys) => {
        const rows = byKey(await this.#db.rows<LedgerRow>(FIND_ENTRIES, [keys]));
        return keys.map((key) => rows.get(key));
      },
    });
    this.findEntry = coalesce({
      ...metrics.batches("sandbox.find_entry"),
      maxItems: ROWS_MAX,
      key: (key: string) => key,
      send: async (keys) => {
        const rows = byKey(await this.#db.rows<ProviderEntry>(READ_BOOK, [keys]));
        return keys.map((key) => rows.get(key));
      },
    });
  }

  async charge({ key, amountMinor, currencyCode, method }: ChargeRequest): Promise<Verdict> {
    if (method === "answer-lost-before" && (await this.#isFirstCall(key))) {
      throw new Error("The sandbox lost the call.");
    }
    if (method === "slow") await pause(this.#slowMs);
    const verdict = VERDICTS.get(method) ?? METHOD_UNKNOWN;
    const written = await this.#write({ key, amountMinor, currencyCode, method, ...verdict });
    if (method === "answer-lost" && written.isNew) throw new Error("The sandbox lost the answer.");
    return written.verdict;
  }

  async find(key: string): Promise<Verdict | undefined> {
    const row = await this.#find(key);
    return row && verdictOf(row);
  }

  async cancel(key: string): Promise<Verdict> {
    const nothing = { amountMinor: 0, currencyCode: "", method: "" };
    return (await this.#write({ key, ...nothing, ...VOID })).verdict;
  }

  async refund({ key, refundKey, amountMinor, currencyCode }: RefundRequest) {
    const method = (await this.#find(key))?.method;
    if (method === "slow") await pause(this.#slowMs);
    const refusal = method === "refund-refused" ? "REFUND_NOT_POSSIBLE" : "";
    const asked = [key, refundKey, amountMinor, currencyCode, refusal];
    const [written] = await this.#db.rows<RefundRow>(WRITE_REFUND, asked);
    if (method === "refund-answer-lost" && written?.isNew) {
      throw new Error("The sandbox lost the answer.");
    }
    // A statement does not see what was committed beside it.
    const standing = written ?? (await this.#findRefund(key, refundKey));
    if (!standing) throw new Error(`The sandbox has lost the refund ${refundKey} of ${key}.`);
    return refundVerdictOf(standing);
  }

  async findRefund(key: string, refundKey: string): Promise<RefundVerdict | undefined> {
    const row = await this.#findRefund(key, refundKey);
    return row && refundVerdictOf(row);
  }

  async list({ after, limit }: { after: string; limit: number }): Promise<ProviderPage> {
    const entries = await this.#db.rows<ProviderEntry>(LIST_BOOK, [after, limit]);
    return { entries, next: entries.length < limit ? undefined : entries.at(-1)?.key };
  }

  async #findRefund(key: string, refundKey: string): Promise<RefundRow | undefined> {
    return (await this.#db.rows<RefundRow>(FIND_REFUND, [key, refundKey]))[0];
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
        entries.map(({ method }) => method),
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

const byKey = <Row extends { key: string }>(rows: Row[]) =>
  new Map(rows.map((row) => [row.key, row]));

const verdictOf = ({ state, declineReason }: Verdict): Verdict => ({ state, declineReason });

const refundVerdictOf = ({ state, refusalReason }: RefundVerdict): RefundVerdict => ({
  state,
  refusalReason,
});

// In key order, so that two instances with the same keys never wait for each other's rows.
const WRITE_ENTRIES = statement(
  "write_entries",
  `with written as (
     insert into sandbox.ledger
       (key, state, amount_minor, currency_code, decline_reason, payment_method)
     select key, state, amount_minor, currency_code, decline_reason, payment_method
       from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[])
         as entry (key, state, amount_minor, currency_code, decline_reason, payment_method)
      order by key
     on conflict (key) do nothing
     returning key, state, decline_reason, payment_method
   )
   select key, state, decline_reason as "declineReason", payment_method as method, true as "isNew"
     from written
    union all
   select key, state, decline_reason, payment_method, false
     from sandbox.ledger
    where key = any($1)`,
);

const FIND_ENTRIES = statement(
  "find_entries",
  `select key, state, decline_reason as "declineReason", payment_method as method, false as "isNew"
     from sandbox.ledger
    where key = any($1)`,
);

// The charge's row is locked, so that it is read as the refund before left it; the constraint on
// refunded_minor guards that.
const WRITE_REFUND = statement(
  "write_refund",
  `with charge as (
     select state, amount_minor - refunded_minor as left_minor, currency_code
       from sandbox.ledger
      where key = $1
        for update
   ), written as (
     insert into sandbox.refunds (key, refund_key, amount_minor, state, refusal_reason)
     select $1::text, $2::text, $3::bigint,
            case when reason = '' then 'REFUNDED' else 'REFUSED' end, reason
       from (select case
                      when charge.state is distinct from 'CHARGED' then 'CHARGE_UNKNOWN'
                      when currency_code <> $4::text then 'CURRENCY_WRONG'
                      when $3::bigint > left_minor then 'REFUND_EXCEEDS_CHARGE'
                      else $5::text
                    end as reason
               from (values (1)) as one left join charge on true) as decided
     on conflict (key, refund_key) do nothing
     returning state, refusal_reason
   ), counted as (
     update sandbox.ledger
        set refunded_minor = refunded_minor + $3::bigint
      where key = $1 and exists (select from written where state = 'REFUNDED')
   )
   select state, refusal_reason as "refusalReason", true as "isNew" from written
    union all
   select state, refusal_reason, false
     from sandbox.refunds
    where key = $1 and refund_key = $2`,
);

const FIND_REFUND = statement(
  "find_refund",
  `select state, refusal_reason as "refusalReason", false as "isNew"
     from sandbox.refunds
    where key = $1 and refund_key = $2`,
);

const BOOK = `
  select key, state, decline_reason as "declineReason", amount_minor as "amountMinor",
         currency_code as "currencyCode", refunds,
         greatest(created_at, refunds_changed_at) as "changedAt"
    from sandbox.ledger
   cross join lateral (
           select coalesce(json_agg(json_build_object(
                    'refundKey', refund_key, 'amountMinor', r.amount_minor, 'state', r.state,
                    'refusalReason', refusal_reason) order by refund_key), '[]') as refunds,
                  max(r.created_at) as refunds_changed_at
             from sandbox.refunds r
            where r.key = ledger.key
         ) as its_refunds`;

const LIST_BOOK = statement("list_book", `${BOOK} where key > $1 order by key limit $2`);

const READ_BOOK = statement("read_book", `${BOOK} where key = any($1)`);

const LOSE_CALL = statement(
  "lose_call",
  `insert into sandbox.lost_calls (key) values ($1) on conflict (key) do nothing returning key`,
);
