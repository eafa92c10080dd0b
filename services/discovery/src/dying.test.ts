import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it, type TestContext } from "node:test";
import { Probe } from "@piata/contracts/discovery";
import { DiscoveryWatcher } from "@piata/kit/discovery";
import { openLog } from "@piata/kit/log";
import { Registration } from "@piata/kit/registration";
import { createTestDatabase, type TestDatabase } from "@piata/testkit/database";
import { type RunningService, startService } from "@piata/testkit/service";
import { until } from "@piata/testkit/until";
import type { InstanceOverview, Overview } from "./overview.js";
import { trialInstance } from "./trial-instance.js";

const log = openLog("test", "silent");
/** What every client is promised. */
const GONE_MS = 3_000;
/** One probe, its time limit, and what a busy machine adds. */
const FOUND_DEAD_MS = 2_000;

async function overviewAt({ httpAddress }: RunningService): Promise<Overview> {
  const response = await fetch(`http://${httpAddress}/v1/services`);
  return (await response.json()) as Overview;
}

async function find(discovery: RunningService, address: string) {
  const { services } = await overviewAt(discovery);
  const all = services.flatMap(({ instances }) => instances);
  return all.find((instance: InstanceOverview) => instance.address === address);
}

const portOf = (address: string): string => address.slice(address.lastIndexOf(":") + 1);

/** How long until the condition holds. Fails when that takes a minute. */
async function timed(what: () => boolean | Promise<boolean>): Promise<number> {
  const start = performance.now();
  await until(what, { timeoutMs: 60_000 });
  return performance.now() - start;
}

describe("with two discoveries that know nothing of each other", () => {
  let database: TestDatabase;
  let discoveries: RunningService[];
  before(async () => {
    const empty = {};
    discoveries = await Promise.all([
      startService("discovery", empty),
      startService("discovery", empty),
    ]);
    database = await createTestDatabase({ template: "discovery_cart" });
  });
  after(async () => {
    const codes = await Promise.all(discoveries.map((discovery) => discovery.stop()));
    assert.deepEqual(codes, [0, 0]);
    await database.drop();
  });

  const addresses = () => discoveries.map(({ address }) => address);

  /** A client of both, which knows the addresses of the carts or the gateways. */
  function client(t: TestContext, service: string) {
    const watcher = new DiscoveryWatcher(addresses(), { caller: "test", log });
    t.after(() => watcher.close());
    const seen = () => watcher.instances(service).map(({ address }) => address);
    return { sees: ({ address }: RunningService) => seen().includes(address) };
  }

  async function start(t: TestContext, name: "cart" | "gateway"): Promise<RunningService> {
    const service = await startService(name, {
      DISCOVERY_ADDRESSES: addresses().join(","),
      CART_DATABASE_URL: database.url,
      GATEWAY_PORT: "0",
    });
    t.after(async () => {
      service.kill("SIGCONT");
      await service.stop();
    });
    return service;
  }

  for (const name of ["cart", "gateway"] as const) {
    it(`a ${name} is listed when ready, healthy when probed, and says its load`, async (t) => {
      const service = await start(t, name);
      for (const discovery of discoveries) {
        assert.equal((await find(discovery, service.address))?.listed, true);
        await until(async () => (await find(discovery, service.address))?.health === "HEALTHY");
        const { load } = (await find(discovery, service.address)) ?? {};
        assert.ok((load?.memoryBytes ?? 0) > 2 ** 20);
      }
    });

    it(`a ${name} that is killed is off every list in time`, async (t) => {
      const [one, other] = await Promise.all([start(t, name), start(t, name)]);
      const { sees } = client(t, name);
      await until(() => sees(one) && sees(other));
      one.kill("SIGKILL");
      const goneMs = await timed(() => !sees(one));
      t.diagnostic(`gone after ${Math.round(goneMs)} ms`);
      assert.ok(goneMs < FOUND_DEAD_MS, `took ${goneMs} ms`);
      assert.ok(sees(other));
    });
  }

  it("a cart that is paused is off every list in time, and back when it goes on", async (t) => {
    const [one, other] = await Promise.all([start(t, "cart"), start(t, "cart")]);
    const { sees } = client(t, "cart");
    await until(() => sees(one) && sees(other));
    one.kill("SIGSTOP");
    const goneMs = await timed(() => !sees(one));
    one.kill("SIGCONT");
    const backMs = await timed(() => sees(one));
    t.diagnostic(`gone after ${Math.round(goneMs)} ms, back after ${Math.round(backMs)} ms`);
    assert.ok(goneMs < GONE_MS, `took ${goneMs} ms`);
    assert.ok(backMs < GONE_MS, `took ${backMs} ms`);
    assert.ok(sees(other));
  });

  it("the only gateway that is paused is off every list, for its lease is over", async (t) => {
    const lone = await start(t, "gateway");
    const { sees } = client(t, "gateway");
    await until(() => sees(lone));
    lone.kill("SIGSTOP");
    const goneMs = await timed(() => !sees(lone));
    t.diagnostic(`gone after ${Math.round(goneMs)} ms`);
    assert.ok(goneMs < GONE_MS, `took ${goneMs} ms`);
  });

  it("a cart that is told to stop is off every list at once", async (t) => {
    const service = await start(t, "cart");
    const { sees } = client(t, "cart");
    await until(() => sees(service));
    const stopped = service.stop();
    const goneMs = await timed(() => !sees(service));
    t.diagnostic(`gone after ${Math.round(goneMs)} ms`);
    assert.ok(goneMs < 300, `took ${goneMs} ms`);
    assert.equal(await stopped, 0);
  });

  it("whoever heartbeats but is not there is shown, with why, and given to nobody", async (t) => {
    const gone = await startService("discovery", {});
    await gone.stop();
    const { address } = gone;
    const instance = trialInstance(randomUUID(), "echo", { address, probe: Probe.GRPC });
    const registration = new Registration(addresses(), instance);
    t.after(() => registration.withdraw());
    const { sees } = client(t, "echo");
    for (const discovery of discoveries) {
      await until(async () => (await find(discovery, address))?.reason === "connection refused");
    }
    await until(() => !sees(gone));
    const again = await startService("discovery", {
      DISCOVERY_PORT: portOf(address),
    });
    t.after(() => again.stop());
    await until(() => sees(gone));
  });
});

describe("with the only discovery away", () => {
  it("a program starts all the same, and is found soon after discovery is back", async (t) => {
    const first = await startService("discovery", {});
    const watcher = new DiscoveryWatcher([first.address], { caller: "test", log });
    t.after(() => watcher.close());
    const env = { DISCOVERY_ADDRESSES: first.address, GATEWAY_PORT: "0" };
    const known = await startService("gateway", env);
    t.after(() => known.stop());
    const sees = ({ address }: RunningService) =>
      watcher.instances("gateway").some((instance) => instance.address === address);
    await until(() => sees(known));
    first.kill();
    const late = await startService("gateway", env);
    t.after(() => late.stop());
    assert.ok(sees(known) && !sees(late));
    const back = await startService("discovery", { DISCOVERY_PORT: portOf(first.address) });
    t.after(() => back.stop());
    const foundMs = await timed(() => sees(late));
    t.diagnostic(`found after ${Math.round(foundMs)} ms`);
    assert.ok(foundMs < GONE_MS, `took ${foundMs} ms`);
    assert.ok(sees(known));
  });
});
