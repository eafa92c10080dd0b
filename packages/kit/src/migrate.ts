/**
 * Brings a database to the newest schema: plain SQL files, run once each, in the order of their
 * names.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import pg from "pg";
import type { Secret } from "./config.js";
import { ConfigError } from "./config.js";

interface Migration {
  name: string;
  sql: string;
  checksum: string;
}

// One number for all migrators: instances that start together take turns.
const LOCK = 7_426_801;

/**
 * Runs what has not run yet. Safe to call by many instances at once. Throws ConfigError when a
 * file that already ran was changed: the schema would no longer be what the files say.
 */
export async function migrate(url: Secret, folder: URL): Promise<void> {
  const migrations = await readMigrations(folder);
  const client = new pg.Client({ connectionString: url.reveal(), application_name: "migrate" });
  // The statement under way is told of a broken connection; without a listener the process would
  // end.
  client.on("error", () => undefined);
  await client.connect();
  try {
    // Up to date, the common case, needs no lock.
    if ((await pending(client, migrations)).length === 0) return;
    await client.query("select pg_advisory_lock($1)", [LOCK]);
    await client.query(
      `create table if not exists migrations (
         name text primary key,
         checksum text not null,
         applied_at timestamptz not null default now()
       )`,
    );
    for (const { name, sql, checksum } of await pending(client, migrations)) {
      await client.query("begin");
      await client.query(sql);
      await client.query("insert into migrations (name, checksum) values ($1, $2)", [
        name,
        checksum,
      ]);
      await client.query("commit");
    }
  } finally {
    await client.end();
  }
}

async function readMigrations(folder: URL): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".sql")).sort();
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(new URL(name, folder), "utf8");
      return { name, sql, checksum: createHash("sha256").update(sql).digest("hex") };
    }),
  );
}

async function pending(client: pg.Client, migrations: Migration[]): Promise<Migration[]> {
  const { rows: tables } = await client.query("select to_regclass('migrations') as found");
  if (tables[0].found === null) return migrations;
  const { rows } = await client.query("select name, checksum from migrations");
  const applied = new Map<string, string>(rows.map(({ name, checksum }) => [name, checksum]));
  for (const { name, checksum } of migrations) {
    if (applied.has(name) && applied.get(name) !== checksum) {
      throw new ConfigError(
        `Migration ${name} has run and was changed since; add a new one instead.`,
      );
    }
  }
  return migrations.filter(({ name }) => !applied.has(name));
}
