// A real PostgreSQL database for each test file, cloned from a template: cheap enough that no test
// needs to imitate SQL.
import { createHash, randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pg from "pg";

const LEAK_PATIENCE_MS = 1_000;
const POLL_MS = 10;

export interface TestDatabaseOptions {
  /** Names the template that is cloned. Two users of one name must prepare the same. */
  readonly template: string;
  /** A folder of migrations: when a file of it changes, a new template is made. */
  readonly migrations?: string | URL;
  /** Fills the template, once. Must have closed its connections when it returns. */
  readonly prepare?: (url: string) => Promise<void>;
}

export interface TestDatabase {
  readonly url: string;
  /** Fails when the test has left connections open: a leaked pool is a bug. */
  drop(): Promise<void>;
}

/** Clones a template into a database of the test's own. */
export async function createTestDatabase(options: TestDatabaseOptions): Promise<TestDatabase> {
  const serverUrl = process.env.TEST_DATABASE_URL;
  if (!serverUrl) {
    throw new Error(
      "TEST_DATABASE_URL is not set: run this test with `npm test -- <part of its file name>`, " +
        "which starts a PostgreSQL for it.",
    );
  }
  const name = `test_${randomBytes(8).toString("hex")}`;
  await withClient(serverUrl, async (client) => {
    const template = await ensureTemplate(client, { serverUrl, ...options });
    await client.query(
      `create database ${name} template ${pg.escapeIdentifier(template)} strategy wal_log`,
    );
  });
  return {
    url: urlOf(serverUrl, name),
    drop: () => withClient(serverUrl, (client) => drop(client, name)),
  };
}

/** A pool of connections, of whatever kind a service has. */
interface Pool {
  close(): Promise<void>;
}

export interface ServiceDatabaseOptions<Db extends Pool> extends TestDatabaseOptions {
  /** Opens a pool of connections to it. */
  readonly open: (url: string) => Db;
}

export interface ServiceDatabase<Db extends Pool> extends TestDatabase {
  readonly db: Db;
  /** Another pool, as another instance of the service would have. */
  connect(): Db;
}

/** A database of the test's own with a service's pools on it, which are closed before it goes. */
export async function openServiceDatabase<Db extends Pool>({
  open,
  ...options
}: ServiceDatabaseOptions<Db>): Promise<ServiceDatabase<Db>> {
  const { url, drop } = await createTestDatabase(options);
  const pools: Db[] = [];
  const connect = () => {
    const pool = open(url);
    pools.push(pool);
    return pool;
  };
  return {
    url,
    db: connect(),
    connect,
    async drop() {
      for (const pool of pools) await pool.close();
      await drop();
    },
  };
}

async function ensureTemplate(
  client: pg.Client,
  { serverUrl, template, migrations, prepare }: TestDatabaseOptions & { serverUrl: string },
): Promise<string> {
  const version = migrations === undefined ? "" : `_${await folderHash(migrations)}`;
  const name = `template_${template}${version}`;
  const unfinished = `${name}_new`;
  // Test files run as processes of their own: one makes the template, the others wait for it.
  await client.query("select pg_advisory_lock(hashtextextended($1, 0))", [name]);
  try {
    const { rowCount } = await client.query("select from pg_database where datname = $1", [name]);
    if (rowCount === 1) return name;
    // Renamed when it is whole, so that a run that was killed leaves no half-made template.
    const [whole, part] = [name, unfinished].map(pg.escapeIdentifier);
    await client.query(`drop database if exists ${part} with (force)`);
    await client.query(`create database ${part}`);
    await prepare?.(urlOf(serverUrl, unfinished));
    await waitUntilClosed(client, unfinished);
    await client.query(`alter database ${part} rename to ${whole}`);
    return name;
  } finally {
    await client.query("select pg_advisory_unlock(hashtextextended($1, 0))", [name]);
  }
}

async function drop(client: pg.Client, name: string): Promise<void> {
  try {
    await waitUntilClosed(client, name);
  } finally {
    await client.query(`drop database ${name} with (force)`);
  }
}

// A client's end returns a moment before the server's side of the connection is gone.
async function waitUntilClosed(client: pg.Client, database: string): Promise<void> {
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    const { rows } = await client.query<{ what: string }>(
      `select concat_ws(': ', nullif(application_name, ''), left(query, 200)) as what
         from pg_stat_activity
        where datname = $1`,
      [database],
    );
    if (rows.length === 0) return;
    if (waitedMs >= LEAK_PATIENCE_MS) {
      throw new Error(
        `${rows.length} connection(s) to the test's database were left open; they ran last:\n` +
          rows.map(({ what }) => `  ${what}`).join("\n"),
      );
    }
    await pause(POLL_MS);
  }
}

async function folderHash(folder: string | URL): Promise<string> {
  const path = folder instanceof URL ? fileURLToPath(folder) : folder;
  const hash = createHash("sha256");
  for (const file of (await readdir(path)).sort()) {
    hash.update(`${file}\0`).update(await readFile(join(path, file)));
  }
  return hash.digest("hex").slice(0, 12);
}

function urlOf(serverUrl: string, database: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.href;
}

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
