import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { metricsOf, sumOf } from "@piata/testkit/metrics";
import { isAlive, type Shop, type ShopProcess, startShop } from "@piata/testkit/shop";
import { until } from "@piata/testkit/until";
import pg from "pg";
import { ask, startClients } from "./connections.ts";

const root = join(import.meta.dirname, "..");

describe("a shop of several instances", () => {
  let shop: Shop;

  before(async () => {
    // Not the short time of the tests, but the one that a shop has.
    shop = await startShop({
      replicas: { gateway: 2, catalog: 3 },
      env: { GATEWAY_IDLE_MS: "2500" },
    });
  });

  after(() => shop.stop());

  const gateways = async () => (await shop.processes()).filter(({ name }) => name === "gateway");

  it("has migrated once, though three catalogs began at once on an empty database", async () => {
    const database = new pg.Client({ connectionString: await shop.databaseUrl("catalog") });
    await database.connect();
    const { rows } = await database.query("select name from migrations order by name");
    await database.end();
    const files = await readdir(join(root, "services/catalog/migrations"));
    assert.deepEqual(
      rows.map(({ name }) => name),
      files.sort(),
    );
    assert.doesNotMatch(shop.output(), /starting it again/);
    const catalogs = (await shop.processes()).filter(({ name }) => name === "catalog");
    assert.deepEqual(
      catalogs.map(({ instance }) => instance),
      [1, 2, 3],
    );
  });

  it("has one address, at which every gateway answers", async () => {
    const [one, two] = await gateways();
    assert.ok(one && two);
    assert.equal(one.address, two.address);
    await until(async () => {
      await Promise.all(Array.from({ length: 40 }, () => ask(shop.url)));
      return (await answeredBy(one)) > 0 && (await answeredBy(two)) > 0;
    });
  });

  it("takes every new connection when one of its gateways was killed", async () => {
    const killed = await shop.process("gateway", 1);
    await shop.kill("gateway", 1);
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask(shop.url)));
    assert.ok(answers.every(({ status }) => status === 200));
    await shop.successor(killed);
  });

  it("lets connections wait while no gateway runs at all", async () => {
    const stopped = await gateways();
    for (const { pid } of stopped) process.kill(pid, "SIGTERM");
    await until(() => stopped.every(({ pid }) => !isAlive(pid)));
    const { port } = new URL(shop.url);
    const waiting = connect(Number(port), "127.0.0.1");
    await once(waiting, "connect");
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(shop.url)));
    assert.ok(answers.every(({ status }) => status === 200));
    waiting.destroy();
    await Promise.all(stopped.map((gateway) => shop.successor(gateway)));
  });

  it("is rolled by npm run roll, and loses no request meanwhile", async (t) => {
    const before = await shop.processes();
    const end = startClients(shop.url);
    t.after(end);
    const said = await shop.roll("gateway", "payment");
    const { answered, lost } = await end();
    assert.deepEqual(lost, []);
    assert.ok(answered > 100, `${answered} requests`);
    // The launcher says so of a program that ended with 0.
    for (const title of ["gateway", "gateway (2)"]) {
      assert.ok(shop.output().includes(`${title} was asked to stop and did`), title);
    }
    assert.match(said, /payment has one instance: calls to it wait or fail until it is back/);
    assert.doesNotMatch(said, /gateway has one instance/);
    const rolled = ({ name }: ShopProcess) => name === "gateway" || name === "payment";
    const pids = (rows: readonly ShopProcess[]) => rows.map(({ pid }) => pid);
    const now = await shop.processes();
    const [old, fresh] = [before, now].map((rows) => pids(rows.filter(rolled)));
    assert.equal(fresh?.length, 3);
    assert.ok(fresh?.every((pid) => !old?.includes(pid)));
    const others = (row: ShopProcess) => !rolled(row);
    assert.deepEqual(pids(now.filter(others)), pids(before.filter(others)));
  });
});

const answeredBy = async (gateway: ShopProcess): Promise<number> =>
  sumOf(await metricsOf(gateway), "piata_answered_total", ({ method }) => method === "graphql");

describe("npm run roll", () => {
  it("says what is wrong to who gets it wrong", async () => {
    const roll = (...args: string[]) =>
      promisify(execFile)(process.execPath, [join(root, "scripts/roll.ts"), ...args]);
    const nowhere = join(import.meta.dirname, "no-such-folder");
    await assert.rejects(roll("catalg"), /"catalg" is none of the programs discovery, access/);
    await assert.rejects(roll("--prot"), /Usage: npm run roll/);
    await assert.rejects(roll("--data", nowhere), /No shop is running on .*no-such-folder/);
  });
});
