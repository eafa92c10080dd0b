import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { createTestDatabase, type TestDatabase } from "@piata/testkit/database";
import pg from "pg";
import { ConfigError, Secret } from "./config.js";
import { migrate } from "./migrate.js";

let database: TestDatabase;
let folder: string;
beforeEach(async () => {
  database = await createTestDatabase({ template: "kit_empty" });
  folder = await mkdtemp(join(tmpdir(), "piata-migrate-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
  await database.drop();
});

const write = (name: string, sql: string) => writeFile(join(folder, name), sql);
const run = () => migrate(new Secret(database.url), pathToFileURL(`${folder}/`));

async function query(sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

const applied = async () =>
  (await query("select name from migrations order by applied_at, name")).map(({ name }) => name);

const CREATE =
  "create table steps (at serial, what text); insert into steps (what) values ('create')";
const step = (what: string) => `insert into steps (what) values ('${what}')`;
const steps = async () => (await query("select what from steps order by at")).map((r) => r.what);

describe("migrations", () => {
  it("run in the order of their names, each once, and new ones later", async () => {
    await write("0002_second.sql", step("second"));
    await write("0001_first.sql", CREATE);
    await write("README.md", "not a migration");
    await run();
    await run();
    assert.deepEqual(await steps(), ["create", "second"]);
    await write("0003_third.sql", step("third"));
    await run();
    assert.deepEqual(await steps(), ["create", "second", "third"]);
    assert.deepEqual(await applied(), ["0001_first.sql", "0002_second.sql", "0003_third.sql"]);
  });

  it("run once when five programs start on an empty database at once", async () => {
    await write("0001_first.sql", `${CREATE}; select pg_sleep(0.05)`);
    await write("0002_second.sql", step("second"));
    await Promise.all([run(), run(), run(), run(), run()]);
    assert.deepEqual(await steps(), ["create", "second"]);
  });

  it("run once when five programs bring a database up to date at once", async () => {
    await write("0001_first.sql", CREATE);
    await run();
    await write("0002_second.sql", step("second"));
    await Promise.all([run(), run(), run(), run(), run()]);
    assert.deepEqual(await steps(), ["create", "second"]);
  });

  it("are refused when one that ran was changed, and then nothing runs", async () => {
    await write("0001_first.sql", CREATE);
    await run();
    await write("0001_first.sql", `${CREATE} -- changed`);
    await write("0002_second.sql", step("second"));
    await assert.rejects(run(), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, /0001_first\.sql has run and was changed/);
      return true;
    });
    assert.deepEqual(await steps(), ["create"]);
  });

  it("leave nothing of one that fails, keep those before it, and go on when it is repaired", async () => {
    await write("0001_first.sql", CREATE);
    await write("0002_bad.sql", `${step("bad")}; create table other (id int); select 1 / 0`);
    await write("0003_third.sql", step("third"));
    await assert.rejects(run(), /division by zero/);
    assert.deepEqual(await steps(), ["create"]);
    assert.deepEqual(await applied(), ["0001_first.sql"]);
    assert.deepEqual(await query("select to_regclass('other') as other"), [{ other: null }]);
    await write("0002_bad.sql", step("repaired"));
    await run();
    assert.deepEqual(await steps(), ["create", "repaired", "third"]);
  });

  it("that do not know the newest of a database leave it alone", async () => {
    await write("0001_first.sql", CREATE);
    await write("0002_second.sql", step("second"));
    await run();
    await rm(join(folder, "0002_second.sql"));
    await run();
    assert.deepEqual(await steps(), ["create", "second"]);
  });

  it("fail as the database does when it cannot be reached", async () => {
    const away = new Secret("postgres://nobody:hidden@127.0.0.1:1/nothing");
    await write("0001_first.sql", CREATE);
    await assert.rejects(migrate(away, pathToFileURL(`${folder}/`)), { code: "ECONNREFUSED" });
  });

  it("reject, and do not end the process, when their connection is cut", async () => {
    const end = "select pg_terminate_backend(pg_backend_pid())";
    await write("0001_first.sql", `${CREATE}; ${end}`);
    await assert.rejects(run(), /terminat/);
    assert.deepEqual(await query("select to_regclass('steps') as steps"), [{ steps: null }]);
  });
});
