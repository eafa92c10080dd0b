/** The SQL of what has changed: found by snapshots, so that nothing that commits late is missed. */
import { type Database, statement } from "@piata/kit/pg";

/** What readers who keep answers must forget. */
export interface Change {
  productIds: number[];
  /** The list of categories is another one. */
  categories: boolean;
}

/** What a look at the table found, and how far it saw. */
export interface Found extends Change {
  /** The next look finds what this one did not see. */
  snapshot: string;
  /** When that was by the database's clock, in ms since the epoch. */
  databaseMs: number;
}

/** The table of changes. */
export class ChangeStore {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** What was committed and not seen by an earlier snapshot; nothing when there is none. */
  async findChanges(since?: string): Promise<Found> {
    const [found] = await this.#db.rows<Found>(FIND_CHANGES, [since ?? null]);
    return found as Found;
  }

  /**
   * Deletes what is older than a minute and was written by transactions before `before`. Answers
   * with the transaction before which all are over now.
   */
  async deleteChanges(before?: string): Promise<string> {
    const [deleted] = await this.#db.rows<{ xmin: string }>(DELETE_CHANGES, [before ?? null]);
    return (deleted as { xmin: string }).xmin;
  }
}

// A snapshot sees what was committed before it began: everything below its xmax but what was under
// way then. The other way round, new is what comes from xmax on, and what was under way.
const FIND_CHANGES = statement(
  "find_changes",
  `with news as materialized (
     select product_ids, categories from changes
      where tx >= pg_snapshot_xmax($1::pg_snapshot)
         or tx = any (array(select pg_snapshot_xip($1::pg_snapshot)))
   )
   select pg_current_snapshot()::text as snapshot,
          floor(extract(epoch from clock_timestamp()) * 1000)::bigint as "databaseMs",
          array(select distinct unnest(product_ids) from news) as "productIds",
          exists (select from news where categories) as categories`,
);

// Rows of transactions that are yet to come are of another server, of which this is a restored copy.
const DELETE_CHANGES = statement(
  "delete_changes",
  `with deleted as (
     delete from changes
      where created_at < now() - interval '1 minute'
        and (tx < $1::xid8 or tx >= pg_snapshot_xmax(pg_current_snapshot()))
   )
   select pg_snapshot_xmin(pg_current_snapshot())::text as xmin`,
);
