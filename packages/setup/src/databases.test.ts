import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { createDatabases, urlOf } from "./databases.js";

const MAIN = fileURLToPath(new URL("main.js", import.meta.url));
const adminUrl = String(process.env.TEST_DATABASE_URL);

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query({ text: sql, rowMode: "array" })).rows.flat();
  } finally {
    await client.end();
  }
}

/** Names that nobody else on the server has; dropped at the end. */
const shops: string[] = [];
function newShop(): Record<"access" | "order", string> {
  const shop = `setup_${randomBytes(6).toString("hex")}`;
  shops.push(shop);
  const url = (service: string) =>
    urlOf(adminUrl, {
      role: `${shop}_${service}`,
      password: "it's",
      database: `${shop} ${service}`,
    });
  return { access: url("access"), order: url("order") };
}

function main(args: string[], env: Record<string, string>) {
  const { PATH = "" } = process.env;
  return new Promise<{ code: unknown; said: string }>((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { env: { PATH, ...env } }, (error, out, err) =>
      resolve({ code: error?.code ?? 0, said: `${out}${err}` }),
    );
  });
}

describe("the databases", () => {
  after(async () => {
    for (const shop of shops) {
      for (const service of ["access", "order"]) {
        await query(adminUrl, `drop database if exists "${shop} ${service}" with (force)`);
        await query(adminUrl, `drop role if exists "${shop}_${service}"`);
      }
    }
  });

  it("are made for their owners, who may make tables in them, and closed to others", async () => {
    const { access, order } = newShop();
    await createDatabases(adminUrl, [access, order]);
    await query(access, "create table made (id int)");
    const foreign = new URL(access);
    foreign.pathname = new URL(order).pathname;
    await assert.rejects(query(foreign.href, "select 1"), /permission denied for database/);
  });

  it("stay as they are the second time, with what is in them", async () => {
    const { access, order } = newShop();
    assert.equal((await createDatabases(adminUrl, [access, order])).length, 4);
    await query(access, "create table kept (id int)");
    assert.deepEqual(await createDatabases(adminUrl, [access, order]), []);
    assert.deepEqual(await query(access, "select count(*)::int from kept"), [0]);
  });

  it("are made once by many at once", async () => {
    const urls = Object.values(newShop());
    const made = await Promise.all(
      Array.from({ length: 5 }, () => createDatabases(adminUrl, urls)),
    );
    assert.equal(made.flat().length, 4);
  });

  it("are told of as soon as they can be used", async () => {
    const { access, order } = newShop();
    const used: Promise<unknown>[] = [];
    await createDatabases(adminUrl, [access, order], {
      ready: (url) => used.push(query(url, "select current_database()")),
    });
    const names = (await Promise.all(used)).flat().map((name) => String(name).split(" ")[1]);
    assert.deepEqual(names, ["access", "order"]);
  });

  it("get the password that their URL has, when it is another", async () => {
    const { access } = newShop();
    await createDatabases(adminUrl, [access]);
    const renewed = new URL(access);
    renewed.password = "new";
    const done = await createDatabases(adminUrl, [renewed.href]);
    assert.match(done.join(), /^role \w+: given its password$/);
    assert.deepEqual(await query(renewed.href, "select 1"), [1]);
    await assert.rejects(query(access, "select 1"), /password authentication failed/);
  });

  it("are waited for, but not for ever", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as { port: number };
    await new Promise((resolve) => server.close(resolve));
    const nobody = `postgres://postgres:secret@127.0.0.1:${port}/postgres`;
    await assert.rejects(
      createDatabases(nobody, Object.values(newShop()), { patienceMs: 20 }),
      (error) => {
        const { message } = error as Error;
        assert.match(
          message,
          new RegExp(`postgres at 127.0.0.1:${port} cannot be opened: .*REFUSED`),
        );
        assert.equal(message.includes("secret"), false);
        return true;
      },
    );
  });

  it("are made by the program from its environment, and it says what is missing there", async () => {
    const { access } = newShop();
    const env = { POSTGRES_ADMIN_URL: adminUrl, ACCESS_DATABASE_URL: access };
    const cart = { CART_DATABASE_URL: "mongodb://cart:secret@mongo:27017/cart" };
    const first = await main(["databases"], { ...env, ...cart });
    assert.equal(first.code, 0, first.said);
    assert.match(first.said, /role \w+_access: made\ndatabase \w+ access: made/);
    const again = await main(["databases"], env);
    assert.match(again.said, /every role and database is there/);
    for (const [missing, words] of [
      [{ ACCESS_DATABASE_URL: access }, /POSTGRES_ADMIN_URL is missing/],
      [{ POSTGRES_ADMIN_URL: adminUrl, ...cart }, /None of ACCESS_DATABASE_URL/],
    ] as const) {
      const { code, said } = await main(["databases"], missing);
      assert.equal(code, 78);
      assert.match(said, words);
    }
    assert.equal((await main(["database"], env)).code, 64);
  });
});
