import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it, type TestContext } from "node:test";
import { type Instance, Probe, type WatchResponse } from "@piata/contracts/discovery";
import { PaymentServiceService } from "@piata/contracts/payment";
import { type RunningService, startService } from "@piata/testkit/service";
import { until } from "@piata/testkit/until";
import { Observable, ReplaySubject } from "rxjs";
import { DiscoveryWatcher } from "./discovery.js";
import { isFailure } from "./errors.js";
import { Registration } from "./registration.js";
import { Channel } from "./rpc-client.js";
import type { InstanceSource } from "./target.js";
import { openTrialLog, serve, soon } from "./trial.js";

const { log } = openTrialLog();

const instance = (service: string, address = "127.0.0.1:1", id = randomUUID()): Instance => ({
  id,
  service,
  address,
  httpAddress: "",
  version: "",
  startedAt: undefined,
  probe: Probe.UNSPECIFIED,
});

/** A payment service that counts its calls. */
async function serveCounting() {
  const count = { calls: 0 };
  const trial = await serve({
    batchVoid: async () => {
      count.calls += 1;
      return { results: [] };
    },
  });
  return { ...trial, count };
}

function payments(t: TestContext, discovery: InstanceSource) {
  const target = "discovery:///payment";
  const channel = new Channel({ service: "payment", target, caller: "test", discovery });
  t.after(() => channel.close());
  const rpc = channel.client(PaymentServiceService);
  return { call: () => rpc.batchVoid({ items: [] }, soon()) };
}

/** What a discovery would say, said by the test. */
async function serveDiscovery(t: TestContext) {
  const said = new ReplaySubject<WatchResponse>(1);
  const trial = await serve({
    watch: () => new Observable((watcher) => said.subscribe(watcher)),
  });
  t.after(() => trial.close());
  const say = (instances: Instance[], settled: boolean, withdrawnIds: string[] = []) =>
    said.next({ instances, settled, withdrawnIds });
  return { ...trial, say };
}

describe("a discovery:/// channel", () => {
  let discovery: RunningService;
  before(async () => {
    discovery = await startService("discovery", {});
  });
  after(async () => {
    assert.equal(await discovery.stop(), 0);
  });

  it("finds an instance that registers after the call began", async (t) => {
    const watcher = new DiscoveryWatcher([discovery.address], { caller: "test", log });
    t.after(() => watcher.close());
    const call = payments(t, watcher).call();
    const trial = await serveCounting();
    t.after(() => trial.close());
    const registration = new Registration([discovery.address], instance("payment", trial.address));
    t.after(() => registration.withdraw());
    assert.deepEqual(await call, { results: [] });
    assert.equal(trial.count.calls, 1);
  });

  it("goes round robin over two, on with one when the other dies, and on without discovery", async (t) => {
    const lone = await startService("discovery", {});
    const watcher = new DiscoveryWatcher([lone.address], { caller: "test", log });
    t.after(() => watcher.close());
    const [one, other] = [await serveCounting(), await serveCounting()];
    t.after(() => other.close());
    const registrations = [one, other].map(
      ({ address }) => new Registration([lone.address], instance("payment", address)),
    );
    t.after(() => Promise.all(registrations.map((registration) => registration.withdraw())));
    const { call } = payments(t, watcher);
    await until(() => watcher.instances("payment").length === 2);
    await until(async () => {
      await call();
      return one.count.calls > 0 && other.count.calls > 0;
    });

    const before = [one.count.calls, other.count.calls] as const;
    for (let calls = 0; calls < 20; calls += 1) await call();
    assert.deepEqual([one.count.calls - before[0], other.count.calls - before[1]], [10, 10]);

    // One dies: it is still listed, since its registration goes on.
    await one.close();
    await until(() => call().then(() => true, isAway));
    const left = other.count.calls;
    for (let calls = 0; calls < 20; calls += 1) await call();
    assert.equal(other.count.calls - left, 20);

    lone.kill();
    await until(() => watcher.instances("payment").length === 2);
    for (let calls = 0; calls < 20; calls += 1) await call();
    assert.equal(other.count.calls - left, 40);
  });

  it("keeps the addresses it has when it is told of none, and follows when they change", async (t) => {
    let tell: ((instances: { address: string }[]) => void) | undefined;
    const { call } = payments(t, {
      subscribe(service, listener) {
        assert.equal(service, "payment");
        tell = listener;
        return () => undefined;
      },
    });
    const [one, other] = [await serveCounting(), await serveCounting()];
    t.after(() => Promise.all([one.close(), other.close()]));
    const first = call();
    await until(() => tell !== undefined);
    tell?.([one]);
    await first;
    tell?.([]);
    await call();
    assert.equal(one.count.calls, 2);
    tell?.([other]);
    await until(async () => {
      await call();
      return other.count.calls > 0;
    });
    const calls = one.count.calls;
    for (let more = 0; more < 10; more += 1) await call();
    assert.equal(one.count.calls, calls);
  });

  it("says at once what it lacks when the program has no discovery", () => {
    const open = () => new Channel({ service: "a", target: "discovery:///a", caller: "test" });
    assert.throws(open, /DISCOVERY_ADDRESSES is missing, and discovery:\/\/\/a needs it/);
  });
});

function isAway(error: unknown): boolean {
  if (isFailure(error, "SERVICE_UNREACHABLE")) return false;
  throw error;
}

describe("what a watcher sees", () => {
  it("is the union of what the discoveries say, each instance once", async (t) => {
    const [one, other] = [await serveDiscovery(t), await serveDiscovery(t)];
    const watcher = new DiscoveryWatcher([one.address, other.address], { caller: "test", log });
    t.after(() => watcher.close());
    const [a, b, c] = [instance("cart"), instance("cart"), instance("cart")];
    one.say([a, b, instance("order")], true);
    other.say([b, c], true);
    const ids = () =>
      watcher
        .instances("cart")
        .map(({ id }) => id)
        .sort();
    await until(() => ids().length === 3);
    assert.deepEqual(ids(), [a, b, c].map(({ id }) => id).sort());
    one.say([], true);
    await until(() => ids().length === 2);
    assert.deepEqual(watcher.instances("nobody"), []);
  });

  it("is without what a discovery said that hangs, as long as another one speaks", async (t) => {
    const [a, b] = [instance("cart"), instance("cart")];
    let watches = 0;
    const hung = await serve({
      watch: () =>
        new Observable((watcher) => {
          watches += 1;
          if (watches === 1) watcher.next({ instances: [a], settled: true, withdrawnIds: [] });
        }),
    });
    t.after(() => hung.close());
    const well = await serveDiscovery(t);
    const speaking = setInterval(() => well.say([b], true), 500);
    t.after(() => clearInterval(speaking));
    const watcher = new DiscoveryWatcher([hung.address, well.address], { caller: "test", log });
    t.after(() => watcher.close());
    await until(() => watcher.instances("cart").length === 2);
    await until(() => watcher.instances("cart").length === 1);
    assert.deepEqual(watcher.instances("cart")[0]?.id, b.id);
    await until(() => watches >= 2);
  });

  it("never has back what a discovery said before it went, once another one knows better", async (t) => {
    const [first, second] = [await serveDiscovery(t), await serveDiscovery(t)];
    const [gone, here] = [instance("cart"), instance("cart")];
    const watcher = new DiscoveryWatcher([first.address, second.address], { caller: "test", log });
    t.after(() => watcher.close());
    const ids = () => watcher.instances("cart").map(({ id }) => id);
    first.say([gone], true);
    second.say([gone], true);
    await until(() => ids().includes(gone.id));
    await first.close();
    second.say([here], true);
    await until(() => ids().join() === here.id);
    const again = await serve(
      {
        watch: () =>
          new Observable((watcher) =>
            watcher.next({ instances: [], settled: false, withdrawnIds: [] }),
          ),
      },
      { port: first.server.port },
    );
    let watched = 0;
    const unwatch = watcher.subscribe("cart", () => {
      watched += 1;
      assert.deepEqual(ids(), [here.id]);
    });
    await until(() => watched >= 2);
    unwatch();
    await again.close();
    await second.close();
    await until(() => ids().join() === here.id);
    assert.deepEqual(ids(), [here.id], "all are gone: what was known last");
  });

  it("only grows while a discovery is young, but for what withdrew", async (t) => {
    const discovery = await serveDiscovery(t);
    const watcher = new DiscoveryWatcher([discovery.address], { caller: "test", log });
    t.after(() => watcher.close());
    const [a, b] = [instance("cart"), instance("cart")];
    const seen: number[] = [];
    watcher.subscribe("cart", (instances) => seen.push(instances.length));
    discovery.say([a], true);
    await until(() => seen.at(-1) === 1);
    discovery.say([b], false);
    await until(() => seen.at(-1) === 2);
    discovery.say([b], false, [a.id]);
    await until(() => seen.at(-1) === 1);
    discovery.say([], true);
    await until(() => seen.at(-1) === 0);
  });

  it("reaches each listener until it unsubscribes", async (t) => {
    const discovery = await serveDiscovery(t);
    const watcher = new DiscoveryWatcher([discovery.address], { caller: "test", log });
    t.after(() => watcher.close());
    const [seen, gone]: [number[], number[]] = [[], []];
    watcher.subscribe("cart", (instances) => seen.push(instances.length));
    watcher.subscribe("cart", (instances) => gone.push(instances.length))();
    discovery.say([instance("cart")], true);
    await until(() => seen.at(-1) === 1);
    assert.deepEqual(gone, []);
  });
});
