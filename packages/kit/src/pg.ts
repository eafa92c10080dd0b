/** PostgreSQL: named statements on pipelined connections, transactions, errors as Failures. */
import pg from "pg";
import type { Secret } from "./config.js";
import { type Failure, isFailure, unavailable } from "./errors.js";
import type { Metrics } from "./metrics.js";
import { startStatement } from "./tracing.js";

/** A statement that is parsed once per connection and then called by its name. */
export interface Statement {
  name: string;
  text: string;
}

export const statement = (name: string, text: string): Statement => ({ name, text });

/** Something that runs statements: the database, or one transaction in it. */
export interface Queries {
  /** The rows that a statement returns. Throws UNAVAILABLE / DATABASE_UNREACHABLE. */
  rows<Row>(sql: Statement, values?: unknown[]): Promise<Row[]>;
}

/** What runs within one transaction. */
export interface Transaction extends Queries {
  /**
   * The last statement of all: COMMIT goes out right behind it and costs no round trip of its own.
   * Whatever the work does afterwards, the transaction is committed, unless the statement failed.
   */
  lastRows<Row>(sql: Statement, values?: unknown[]): Promise<Row[]>;
}

const INT8 = 20;
const DEADLOCK = "40P01";
const TRIES_MAX = 3;
/**
 * A process that hangs within a transaction (stopped, paused, cut off) keeps what it has locked, and
 * other instances wait until all their connections do. After so long PostgreSQL takes it away.
 */
const HUNG_MS = 2_000;

// A bigint column holds amounts of at most 2^53 - 1, so that a number reads it exactly.
function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`${text} is not a safe integer`);
  return value;
}

export interface DatabaseOptions {
  /** Shown in pg_stat_activity. */
  program: string;
  /** Connections at most. */
  connectionsMax?: number;
  /** Where its connections are shown. */
  metrics?: Metrics | undefined;
}

/** One PostgreSQL database, through a pool of pipelined connections. */
export class Database implements Queries {
  readonly pool: pg.Pool;

  constructor(url: Secret, { program, connectionsMax = 8, metrics }: DatabaseOptions) {
    this.pool = new pg.Pool({
      connectionString: url.reveal(),
      application_name: program,
      max: connectionsMax,
      connectionTimeoutMillis: 5_000,
      statement_timeout: 10_000,
      idle_in_transaction_session_timeout: HUNG_MS,
      // A server that does not even say that a statement took too long is gone.
      query_timeout: 15_000,
      pipeline: true,
      types: {
        getTypeParser: ((oid: number, format: "text" | "binary") =>
          oid === INT8 ? parseInt8 : pg.types.getTypeParser(oid, format as "text")) as never,
      },
    } as pg.PoolConfig);
    // A connection that breaks while it is idle is replaced when the next one is needed; one that
    // breaks in use tells the statement under way. Without listeners either would end the process.
    this.pool.on("error", () => undefined);
    this.pool.on("connect", (client) => client.on("error", () => undefined));
    metrics?.watchPool(program, this.pool);
  }

  // Not pool.query: it closes the connection of every statement that fails, and a broken unique
  // constraint is an everyday answer.
  async rows<Row>(sql: Statement, values: unknown[] = []): Promise<Row[]> {
    const client = await this.#connect();
    let away = false;
    try {
      return await ask<Row>(client, sql, values);
    } catch (error) {
      const failure = translated(error);
      away = isFailure(failure);
      throw failure;
    } finally {
      client.release(away);
    }
  }

  /** Commits what `work` did, or nothing of it. Runs it again when it lost a deadlock. */
  async transaction<Result>(work: (tx: Transaction) => Promise<Result>): Promise<Result> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#attempt(work);
      } catch (error) {
        if ((error as { code?: string }).code !== DEADLOCK || tries === TRIES_MAX) throw error;
      }
    }
  }

  async #attempt<Result>(work: (tx: Transaction) => Promise<Result>): Promise<Result> {
    const client = await this.#connect();
    let over = false;
    let broken = false;
    const rows = async <Row>(sql: Statement, values: unknown[] = []): Promise<Row[]> => {
      // By now the connection may be somebody else's.
      if (over) throw new Error(`${sql.name} came after the end of its transaction`);
      return ask<Row>(client, sql, values);
    };
    let committing: Promise<pg.QueryResult> | undefined;
    const commit = () => {
      over = true;
      committing ??= client.query("commit");
      return committing;
    };
    const lastRows = async <Row>(sql: Statement, values?: unknown[]): Promise<Row[]> => {
      const [last] = await Promise.all([rows<Row>(sql, values), commit()]);
      return last;
    };
    try {
      // On a pipelined connection BEGIN costs no round trip: the first statement goes out behind
      // it.
      const begun = client.query("begin");
      const [result] = await Promise.all([(async () => work({ rows, lastRows }))(), begun]);
      // COMMIT after a statement that failed, even one whose error `work` caught, rolls back.
      const { command } = await commit();
      if (command !== "COMMIT") throw new Error("a statement failed, so nothing was committed");
      return result;
    } catch (error) {
      over = true;
      await client.query("rollback").catch(() => {
        broken = true;
      });
      throw translated(error);
    } finally {
      client.release(broken);
    }
  }

  async #connect(): Promise<pg.PoolClient> {
    try {
      return await this.pool.connect();
    } catch (error) {
      throw translated(error);
    }
  }

  async close(): Promise<void> {
    await this.pool.end();
  }
}

async function ask<Row>(client: pg.PoolClient, sql: Statement, values: unknown[]): Promise<Row[]> {
  const span = startStatement(sql.name);
  try {
    const { rows } = await client.query({ ...sql, values });
    span?.end("OK");
    return rows as Row[];
  } catch (error) {
    span?.end((error as { code?: string }).code ?? "UNKNOWN");
    throw error;
  }
}

// Class 08 is a broken connection, 57P a server that shuts down or starts up, 53 one that is full,
// 25P03 a transaction that was ended as its process hung.
const UNREACHABLE = /^(08|57P0|53|25P03)/;
const NETWORK = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EAI_AGAIN",
  "ENOTFOUND",
  "ENOENT",
]);
const DRIVER =
  /query read timeout|connection (terminated|timeout|error)|timeout (exceeded when trying|expired)/i;

function translated(error: unknown): unknown {
  const { code, message } = error as { code?: string; message?: string };
  const away =
    (code && (UNREACHABLE.test(code) || NETWORK.has(code))) || (message && DRIVER.test(message));
  return away ? databaseAway() : error;
}

const databaseAway = (): Failure =>
  unavailable("DATABASE_UNREACHABLE", "The database is not reachable now; try again soon.");

/** True when a statement broke the unique constraint of that name. */
export function violates(error: unknown, constraint: string): boolean {
  const broken = error as { code?: string; constraint?: string };
  return broken.code?.startsWith("23") === true && broken.constraint === constraint;
}
