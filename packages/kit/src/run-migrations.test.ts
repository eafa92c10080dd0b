import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { createTestDatabase, type TestDatabase } from "@piata/testkit/database";
import pg from "pg";

describe("a program that migrates and ends", () => {
  let database: TestDatabase;
  let folder: string;

  before(async () => {
    database = await createTestDatabase({ template: "kit_empty" });
    folder = await mkdtemp(join(tmpdir(), "piata-migrations-"));
    await writeFile(join(folder, "0001_made.sql"), "create table made (id int)");
    const [config, runMigrations] = ["config.js", "run-migrations.js"].map(
      (file) => new URL(file, import.meta.url).href,
    );
    await writeFile(
      join(folder, "migrate.mjs"),
      `import { databaseUrl, secretSetting } from "${config}";
       import { runMigrations } from "${runMigrations}";
       const url = secretSetting("TRIAL_DATABASE_URL", databaseUrl("postgres:", "mongodb:"), "It.");
       await runMigrations("trial", url, new URL("${pathToFileURL(`${folder}/`)}"));`,
    );
  });
  after(async () => {
    await rm(folder, { recursive: true });
    await database.drop();
  });

  const run = (env: Record<string, string>) =>
    new Promise<{ code: unknown; said: string }>((resolve) => {
      const { PATH = "" } = process.env;
      const program = join(folder, "migrate.mjs");
      execFile(process.execPath, [program], { env: { PATH, ...env } }, (error, out, err) =>
        resolve({ code: error?.code ?? 0, said: `${out}${err}` }),
      );
    });

  it("does so, also when many run at once", async () => {
    const env = { TRIAL_DATABASE_URL: database.url };
    for (const { code, said } of await Promise.all([run(env), run(env), run(env)])) {
      assert.deepEqual(
        { code, said },
        { code: 0, said: "trial: the database is at the newest schema\n" },
      );
    }
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query("select id from made");
    await client.end();
  });

  it("waits for a database that is still to come", async () => {
    const url = new URL(database.url);
    url.pathname += "_late";
    const running = run({ TRIAL_DATABASE_URL: url.href });
    const admin = new pg.Client({ connectionString: database.url });
    await admin.connect();
    await admin.query(`create database ${pg.escapeIdentifier(url.pathname.slice(1))}`);
    const { code, said } = await running;
    await admin.query(`drop database ${pg.escapeIdentifier(url.pathname.slice(1))}`);
    await admin.end();
    assert.equal(code, 0, said);
  });

  it("has nothing to do for a database without a schema", async () => {
    const { code, said } = await run({ TRIAL_DATABASE_URL: "mongodb://nobody/cart" });
    assert.deepEqual({ code, said }, { code: 0, said: "trial: there is nothing to migrate\n" });
  });

  it("says what is missing, and that starting again would not help", async () => {
    const { code, said } = await run({});
    assert.equal(code, 78);
    assert.match(said, /TRIAL_DATABASE_URL is missing/);
  });
});
