// npm start -- --compact: the same shop in one process.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { promisify } from "node:util";
import type { Client } from "@piata/testkit/client";
import { isAlive, type Shop, startShop } from "@piata/testkit/shop";
import { until } from "@piata/testkit/until";
import { memoryOf, sumOf } from "../scripts/memory.ts";
import {
  addToCart,
  assertBooksAgree,
  cartLines,
  customer,
  ending,
  offer,
  order,
  unitsAvailable,
} from "./market.ts";

const SCRIPTS = join(import.meta.dirname, "../scripts");
const PROGRAMS = ["discovery", "access", "catalog", "cart", "order", "payment", "gateway"];
/** Far above the 200 that it is to take, as what else runs on the machine has a say. */
const MEMORY_MB_MAX = 260;

/** What discovery shows at /v1/services, as far as it matters here. */
interface Overview {
  services: { instances: { health: string }[] }[];
}

/** Two of a new product, ordered. */
async function buy(client: Client, paymentMethod?: string): Promise<number> {
  await addToCart(client, await offer(client, 5), 2);
  return order(client, paymentMethod);
}

async function script(name: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(SCRIPTS, name), ...args]);
  return stdout;
}

async function get(address: string | undefined, path: string): Promise<string> {
  return (await fetch(`http://${address}${path}`)).text();
}

async function newFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "piata-compact-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o711);
  return folder;
}

describe("a compact shop", () => {
  let shop: Shop;
  before(async () => {
    shop = await startShop({ compact: true });
  });
  after(() => shop.stop());

  it("has all programs in one process, each at addresses of its own", async () => {
    const rows = (await shop.processes()).filter(({ name }) => PROGRAMS.includes(name));
    assert.deepEqual(
      rows.map(({ name }) => name),
      PROGRAMS,
    );
    assert.equal(new Set(rows.map(({ pid }) => pid)).size, 1);
    const addresses = rows.flatMap(({ address, httpAddress }) => [address, httpAddress]);
    assert.equal(new Set(addresses).size, 2 * PROGRAMS.length);
    for (const { name, httpAddress } of rows) {
      const metrics = await get(httpAddress, "/metrics");
      assert.match(metrics, /^# TYPE piata_answered_total counter$/m);
      // What Node says of the one process is said once.
      assert.equal(metrics.includes("process_cpu_seconds_total{"), name === "gateway");
    }
  });

  it("is sold in, paid in, and its books agree", async () => {
    const client = await customer(shop);
    const productId = await offer(client, 5);
    await addToCart(client, productId, 2);
    assert.equal((await ending(client, await order(client))).value, "PAID");
    assert.equal(await unitsAvailable(client, productId), 3);
    assert.deepEqual(await cartLines(client), {});
    const declined = await ending(client, await buy(client, "declined"));
    assert.deepEqual(declined, { value: "PAYMENT_FAILED", reason: "CARD_DECLINED" });
    await assertBooksAgree(shop);
  });

  it("signs a user out at once", async () => {
    const client = await customer(shop);
    await client.ask("mutation { logout }");
    await until(async () => (await client.graphql("{ cart { id } }")).errors.length > 0);
  });

  it("lists its programs in discovery, all of them healthy", async () => {
    const { httpAddress } = await shop.process("discovery");
    await until(async () => {
      const { services } = JSON.parse(await get(httpAddress, "/v1/services")) as Overview;
      const listed = services.flatMap(({ instances }) => instances.map(({ health }) => health));
      return (
        listed.length === PROGRAMS.length - 1 && listed.every((health) => health === "HEALTHY")
      );
    });
  });

  it("is run by the same commands, but for replacing instances", async () => {
    const client = shop.client();
    const { email } = await client.becomeNewUser();
    const said = await script("staff.ts", email, "--data", shop.dataDir);
    assert.match(said, /is staff from/);
    await assert.rejects(shop.roll(), /runs compact, all programs in one process/);
  });

  it("takes little memory", { skip: process.platform !== "linux" }, async () => {
    const { aloneMb } = sumOf(await memoryOf(await shop.processes()));
    console.log(`a compact shop: ${aloneMb.toFixed(0)} MB, PostgreSQL aside`);
    assert.ok(aloneMb < MEMORY_MB_MAX, `${aloneMb} MB`);
  });

  it("comes back at its addresses when it is killed, and pays what was ordered", async () => {
    const client = await customer(shop);
    const paid = await buy(client);
    assert.equal((await ending(client, paid)).value, "PAID");
    const open = await buy(client, "slow");
    const before = await shop.processes();
    await shop.kill("gateway");
    await shop.successor(before.find(({ name }) => name === "gateway") ?? assert.fail());
    const addresses = (rows: typeof before) => rows.map(({ address }) => address);
    assert.deepEqual(addresses(await shop.processes()), addresses(before));
    for (const orderId of [paid, open]) {
      assert.equal((await ending(client, orderId)).value, "PAID");
    }
    await assertBooksAgree(shop);
  });
});

it("programs in one process say together what is wrong with their settings, and end with 78", async () => {
  const run = promisify(execFile)(process.execPath, [join(SCRIPTS, "compact.mjs")], {
    env: { PATH: process.env.PATH },
  });
  await assert.rejects(run, ({ code, stderr }: { code: number; stderr: string }) => {
    assert.equal(code, 78);
    for (const name of ["ACCESS_DATABASE_URL", "PAYMENT_PROVIDER", "ORDER_DATABASE_URL"]) {
      assert.ok(stderr.includes(`${name} is missing`), name);
    }
    return true;
  });
});

it("the end of a compact shop is clean, and its folder is one for several processes too", async (t) => {
  let second: Shop | undefined;
  // Ahead of the folder's own hook: they run in the order in which they were given.
  t.after(() => second?.stop());
  const dataDir = await newFolder(t);
  const first = await startShop({ dataDir, compact: true });
  const rows = await first.processes();
  const user = await first.client().becomeNewUser();
  await first.stop();
  assert.ok(rows.every(({ pid }) => !isAlive(pid)));
  const left = (await readdir(dataDir)).filter((name) => /run|launcher/.test(name));
  assert.deepEqual(left, []);
  second = await startShop({ dataDir });
  assert.equal(new Set((await second.processes()).map(({ pid }) => pid)).size, 9);
  const client = second.client();
  await client.login(user);
  assert.equal((await ending(client, await buy(client))).value, "PAID");
});
