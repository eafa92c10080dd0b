import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import pg from "pg";
import { hostDatabases } from "./databases.ts";
import { type Postgres, startPostgres } from "./postgres.ts";
import { openSecrets } from "./secrets.ts";

let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "piata-postgres-"));
  await chmod(folder, 0o711);
});

after(() => rm(folder, { recursive: true, force: true }));

function start(name: string, settings: Record<string, string> = {}): Promise<Postgres> {
  const log = join(folder, `${name}.log`);
  return startPostgres({ dataDir: join(folder, name), log, settings });
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  try {
    await client.connect();
    return (await client.query({ text: sql, rowMode: "array" })).rows.flat();
  } finally {
    await client.end().catch(() => undefined);
  }
}

describe("the embedded PostgreSQL", () => {
  it("keeps its data, durably, over a restart", async () => {
    const first = await start("restart");
    await query(first.superuserUrl, "create table t as select 42 as answer");
    assert.deepEqual(await query(first.superuserUrl, "show fsync"), ["on"]);
    await first.stop();
    const second = await start("restart");
    assert.deepEqual(await query(second.superuserUrl, "select answer from t"), [42]);
    await second.stop();
  });

  it("ends the server that a killed launcher left on the folder", async () => {
    const left = await start("left");
    const next = await start("left");
    await left.ended;
    assert.deepEqual(await query(next.superuserUrl, "select 1"), [1]);
    await next.stop();
  });

  it("recovers when the server itself was killed", async () => {
    const killed = await start("killed");
    await query(killed.superuserUrl, "create table t as select 7 as kept");
    process.kill(killed.pid, "SIGKILL");
    await killed.ended;
    const next = await start("killed");
    assert.deepEqual(await query(next.superuserUrl, "select kept from t"), [7]);
    await next.stop();
  });

  it("is not misled by a process id that now belongs to another program", async () => {
    const server = await start("reused");
    await server.stop();
    const other = await sleeper();
    await writeFile(join(folder, "reused/cluster/postmaster.pid"), `${other.pid}\n`);
    const next = await start("reused");
    assert.deepEqual(await query(next.superuserUrl, "select 1"), [1]);
    await next.stop();
    assert.equal(other.exitCode, null);
    other.kill();
  });

  it("begins again when making the data folder was cut short", async () => {
    await mkdir(join(folder, "half/cluster.new/base"), { recursive: true });
    const server = await start("half");
    assert.deepEqual(await query(server.superuserUrl, "show server_encoding"), ["UTF8"]);
    await server.stop();
  });

  it("says what the server says when it cannot start", async () => {
    await assert.rejects(start("wrong", { shared_buffers: "a lot" }), /shared_buffers/);
  });

  it("says which folder is closed to it when root starts it", async (t) => {
    if (process.getuid?.() !== 0) return t.skip("only root starts it as somebody else");
    await mkdir(join(folder, "closed"), { mode: 0o700 });
    await assert.rejects(start("closed/data"), /may not enter .*closed and so cannot/);
  });
});

// A program that lives until it is ended, for its process id.
async function sleeper(): Promise<ChildProcess> {
  const child = spawn(process.execPath, ["-e", "console.log('up');process.stdin.resume()"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return child;
}

describe("the databases of the services", () => {
  let server: Postgres;
  let urls: Awaited<ReturnType<typeof hostDatabases>>;

  before(async () => {
    server = await start("databases");
    urls = await hostDatabases(server.superuserUrl, await openSecrets(join(folder, "s.json")));
  });

  after(() => server.stop());

  it("are reached by their own roles, who may make tables in them", async () => {
    await query(urls.access, "create table made (id int)");
    assert.deepEqual(await query(urls.access, "select current_database()"), ["user"]);
    await query(urls.order, "create table made (id int)");
    assert.deepEqual(await query(urls.order, "select current_database()"), ["order"]);
  });

  it("are closed to every other role", async () => {
    for (const url of Object.values(urls)) {
      for (const other of ["user", "catalog", "cart", "order", "payment", "postgres"]) {
        const foreign = new URL(url);
        if (foreign.pathname === `/${other}`) continue;
        foreign.pathname = `/${other}`;
        await assert.rejects(query(foreign.href, "select 1"), /permission denied for database/);
      }
    }
  });

  it("stay as they are when nothing is missing", async () => {
    const again = await openSecrets(join(folder, "s.json"));
    assert.deepEqual(await hostDatabases(server.superuserUrl, again), urls);
  });

  it("get new passwords when the secrets were lost", async () => {
    const lost = await openSecrets(join(folder, "new.json"));
    const renewed = await hostDatabases(server.superuserUrl, lost);
    assert.notEqual(renewed.order, urls.order);
    assert.deepEqual(await query(renewed.order, "select current_user::text"), ["order"]);
  });
});
