import assert from "node:assert/strict";
import { describe, it } from "node:test";
import pg from "pg";
import { createTestDatabase } from "./database.js";

async function query<T>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows as T[];
  } finally {
    await client.end();
  }
}

describe("a test's database", () => {
  it("is prepared once and cloned for each test", async () => {
    let prepared = 0;
    const options = {
      template: `testkit_${process.pid}`,
      async prepare(url: string) {
        prepared += 1;
        await query(url, "create table products as select 1 as id");
      },
    };
    const [one, other] = await Promise.all([
      createTestDatabase(options),
      createTestDatabase(options),
    ]);
    await query(one.url, "delete from products");
    assert.deepEqual(await query(other.url, "select id from products"), [{ id: 1 }]);
    assert.equal(prepared, 1);
    await Promise.all([one.drop(), other.drop()]);
  });

  it("cannot be dropped unnoticed while a pool of the test's is open", async () => {
    const database = await createTestDatabase({ template: "testkit_empty" });
    const pool = new pg.Pool({ connectionString: database.url });
    pool.on("error", () => undefined);
    await pool.query("select 'leaked'");
    await assert.rejects(database.drop(), /1 connection\(s\).*\n.*select 'leaked'/);
    await pool.end();
  });
});
