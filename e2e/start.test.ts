import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { isAlive, type Shop, type ShopProcess, startShop } from "@piata/testkit/shop";
import { until } from "@piata/testkit/until";
import pg from "pg";

const LAUNCHER = join(import.meta.dirname, "../scripts/start.ts");
const PROGRAMS = ["discovery", "access", "catalog", "cart", "order", "payment", "gateway"];

async function newFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "piata-start-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o711);
  return folder;
}

/** Runs a launcher that is expected to end by itself. */
async function launch(args: string[], env: NodeJS.ProcessEnv = {}) {
  const launcher = spawn(process.execPath, [LAUNCHER, ...args], {
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    env: { ...process.env, ...env },
  });
  let output = "";
  for (const stream of [launcher.stdout, launcher.stderr]) {
    stream?.on("data", (chunk: Buffer) => {
      output += chunk.toString("utf8");
    });
  }
  const [code] = await once(launcher, "close");
  return { code, output };
}

async function assertAllEnded(processes: readonly ShopProcess[]): Promise<void> {
  await until(() => processes.every(({ pid }) => !isAlive(pid)), { what: "the end of all" });
}

async function hello(shop: Shop): Promise<unknown> {
  return (await shop.client().ask("{ hello }")).hello;
}

describe("npm start", () => {
  it("says that its port is taken, before it starts anything", async (t) => {
    const folder = await newFolder(t);
    const other = createServer().listen(0, "127.0.0.1");
    t.after(() => other.close());
    await once(other, "listening");
    const { port } = other.address() as { port: number };
    const { code, output } = await launch(["--port", String(port), "--data", folder]);
    assert.equal(code, 1);
    assert.match(output, new RegExp(`Port ${port} is in use.*npm start -- --port P`));
    assert.deepEqual((await readdir(folder)).includes("postgres"), false);
    assert.deepEqual(await readdir(join(folder, "logs")), []);
  });

  it("explains its options to who gets them wrong", async () => {
    for (const [args, words] of [
      [["--prot", "1"], /--prot/],
      [["--port", "70000"], /0 to 65535/],
      [["--replicas", "orders=2"], /orders=2.*discovery, access/],
      [["--replicas", "gateway=0"], /gateway can have 1 to 16/],
      [["--compact", "--replicas", "order=2"], /--compact has one of each program/],
    ] as const) {
      const { code, output } = await launch([...args]);
      assert.equal(code, 2);
      assert.match(output, words);
      assert.match(output, /Usage: npm start/);
    }
  });

  it("ends with a program's own words when its configuration is wrong", async (t) => {
    const args = ["--port", "0", "--no-demo", "--data", await newFolder(t)];
    const { code, output } = await launch(args, { PAYMENT_PROVIDER: "piggy-bank" });
    assert.equal(code, 1);
    assert.match(output, /payment did not start[\s\S]*PAYMENT_PROVIDER/);
  });
});

describe("a running shop", () => {
  let shop: Shop;

  before(async () => {
    shop = await startShop({ replicas: { order: 2 } });
  });

  after(() => shop.stop());

  it("is described by run.json", async () => {
    const run = JSON.parse(await readFile(join(shop.dataDir, "run.json"), "utf8"));
    assert.equal(run.url, shop.url);
    const names = run.processes.map(({ name }: ShopProcess) => name).sort();
    const orders = run.processes.filter(({ name }: ShopProcess) => name === "order");
    assert.deepEqual(
      orders.map(({ instance }: ShopProcess) => instance),
      [1, 2],
    );
    assert.deepEqual(names, [...PROGRAMS, "launcher", "order", "postgres"].sort());
    for (const { name, pid, address } of run.processes as ShopProcess[]) {
      assert.ok(isAlive(pid), `${name} is alive`);
      assert.match(address, name === "launcher" ? /^$/ : /^127\.0\.0\.1:\d+$/);
    }
    assert.equal(typeof (await hello(shop)), "string");
  });

  it("is not disturbed by a second launcher on its folder", async () => {
    const before = await shop.processes();
    const { code, output } = await launch(["--port", "0", "--data", shop.dataDir]);
    assert.equal(code, 1);
    assert.match(output, /already running on .*\(process \d+\)/);
    assert.deepEqual(await shop.processes(), before);
    await hello(shop);
  });

  it("gives each service a role that no other database lets in", async () => {
    const foreign = new URL(await shop.databaseUrl("catalog"));
    foreign.pathname = "/order";
    const client = new pg.Client({ connectionString: foreign.href });
    await assert.rejects(client.connect(), /permission denied for database "order"/);
  });

  for (const name of ["catalog", "order", "discovery", "gateway", "postgres"]) {
    it(`brings ${name} back when it was killed, at the same address`, async () => {
      const killed = await shop.process(name);
      await shop.kill(name);
      await shop.waitReady();
      const back = await shop.process(name);
      assert.equal(back.address, killed.address);
      assert.notEqual(back.pid, killed.pid);
      // It serves a moment before it says so: first it is listed.
      const said = new RegExp(`${name}.* is back on`, "i");
      await until(() => said.test(shop.output()), { what: "the launcher's word" });
      await until(() => hello(shop), { what: "an answer" });
    });
  }
});

describe("the end of a shop", () => {
  it("is clean on Ctrl-C, which npm sends twice", async () => {
    const shop = await startShop();
    const processes = await shop.processes();
    shop.launcher.kill("SIGINT");
    shop.launcher.kill("SIGINT");
    const [code] = await once(shop.launcher, "exit");
    assert.equal(code, 0);
    assert.ok(processes.every(({ pid }) => !isAlive(pid)));
    const left = await readdir(shop.dataDir);
    assert.deepEqual(
      left.filter((name) => /run|launcher/.test(name)),
      [],
    );
    await shop.stop();
  });

  it("comes with its launcher's, and the next start finds all as it was", async (t) => {
    const dataDir = await newFolder(t);
    const first = await startShop({ dataDir });
    const processes = await first.processes();
    const user = await first.client().becomeNewUser();
    first.launcher.kill("SIGKILL");
    const second = await startShop({ dataDir });
    t.after(() => second.stop());
    await assertAllEnded(processes);
    await second.client().login(user);
  });
});
