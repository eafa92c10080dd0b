import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { DiscoveryServiceService, type Instance, Probe } from "@piata/contracts/discovery";
import { ownContext } from "@piata/kit/context";
import { DiscoveryWatcher } from "@piata/kit/discovery";
import { openLog } from "@piata/kit/log";
import { Registration } from "@piata/kit/registration";
import { Channel } from "@piata/kit/rpc-client";
import { type RunningService, startService } from "@piata/testkit/service";
import { until } from "@piata/testkit/until";

const quiet = openLog("test", "silent");
const PATIENCE_MS = 5_000;

let one: RunningService;
let other: RunningService;
before(async () => {
  [one, other] = await Promise.all([startService("discovery", {}), startService("discovery", {})]);
});
after(async () => {
  assert.deepEqual(await Promise.all([one.stop(), other.stop()]), [0, 0]);
});

const instance = (service: string): Instance => ({
  probe: Probe.UNSPECIFIED,
  id: randomUUID(),
  service,
  address: "127.0.0.1:5000",
  httpAddress: "127.0.0.1:6000",
  version: "1.0.0",
  startedAt: new Date(),
});

const portOf = (address: string): string => address.slice(address.lastIndexOf(":") + 1);

/** Resolves when the watcher sees that many instances. */
function seen(watcher: DiscoveryWatcher, service: string, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`never saw ${count}`)), PATIENCE_MS);
    const unsubscribe = watcher.subscribe(service, (instances) => {
      if (instances.length !== count) return;
      clearTimeout(late);
      unsubscribe();
      resolve();
    });
  });
}

test("what registers with all is found through any of them, and withdrawn at once", async (t) => {
  const addresses = [one.address, other.address];
  const watcher = new DiscoveryWatcher([other.address], { caller: "test", log: quiet });
  t.after(() => watcher.close());
  const registration = new Registration(addresses, instance("alpha"));
  await seen(watcher, "alpha", 1);
  await registration.withdraw();
  await seen(watcher, "alpha", 0);
});

test("a discovery that comes back knowing nothing takes nobody off the list", async (t) => {
  const lone = await startService("discovery", {});
  const registration = new Registration([lone.address], instance("beta"));
  t.after(() => registration.withdraw());
  const watcher = new DiscoveryWatcher([lone.address], { caller: "test", log: quiet });
  t.after(() => watcher.close());
  await seen(watcher, "beta", 1);
  lone.kill();
  const counts: number[] = [];
  const unsubscribe = watcher.subscribe("beta", (instances) => counts.push(instances.length));
  const again = await startService("discovery", { DISCOVERY_PORT: portOf(lone.address) });
  t.after(() => again.stop());
  const channel = new Channel({ service: "discovery", target: again.address, caller: "test" });
  t.after(() => channel.close());
  for await (const { instances } of channel.client(DiscoveryServiceService).watch({})) {
    if (instances.length === 1) break;
  }
  unsubscribe();
  assert.ok(
    counts.every((count) => count === 1),
    `saw ${counts}`,
  );
});

test("a badly formed instance is refused with the field's name", async (t) => {
  const channel = new Channel({ service: "discovery", target: one.address, caller: "No Such" });
  t.after(() => channel.close());
  const rpc = channel.client(DiscoveryServiceService);
  await assert.rejects(rpc.heartbeat({ instance: instance("No Such") }, ownContext(PATIENCE_MS)), {
    code: "INVALID_ARGUMENT",
    reason: "INSTANCE_INVALID",
    metadata: { field: "instance.service" },
  });
});

test("nobody is listed, moved or taken off in another's name", async (t) => {
  const channel = new Channel({ service: "discovery", target: one.address, caller: "payment" });
  t.after(() => channel.close());
  const rpc = channel.client(DiscoveryServiceService);
  const within = () => ownContext(PATIENCE_MS);
  const gamma = instance("gamma");
  const registration = new Registration([one.address], gamma);
  t.after(() => registration.withdraw());
  const watcher = new DiscoveryWatcher([one.address], { caller: "test", log: quiet });
  t.after(() => watcher.close());
  await seen(watcher, "gamma", 1);
  const notOwn = { code: "PERMISSION_DENIED", reason: "INSTANCE_NOT_OWN" };
  await assert.rejects(rpc.heartbeat({ instance: instance("gamma") }, within()), notOwn);
  const stolen = { ...instance("payment"), id: gamma.id, address: "127.0.0.1:6666" };
  await assert.rejects(rpc.heartbeat({ instance: stolen }, within()), notOwn);
  await assert.rejects(rpc.withdraw({ instanceId: gamma.id }, within()), notOwn);
  assert.deepEqual(
    watcher.instances("gamma").map(({ address }) => address),
    [gamma.address],
  );
});

test("its HTTP port has the page and the JSON, and takes nothing but GET", async () => {
  const page = await fetch(`http://${one.httpAddress}/?from=bookmark`);
  assert.equal(page.status, 200);
  assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8");
  assert.match(page.headers.get("content-security-policy") ?? "", /^default-src 'none'/);
  assert.match(await page.text(), /^<!doctype html>/);
  const json = await fetch(`http://${one.httpAddress}/v1/services`);
  assert.equal(json.headers.get("content-type"), "application/json; charset=utf-8");
  assert.deepEqual(Object.keys((await json.json()) as object), ["discovery", "services", "events"]);
  const sent = await fetch(`http://${one.httpAddress}/v1/services`, { method: "POST" });
  assert.deepEqual([sent.status, sent.headers.get("allow")], [405, "GET, HEAD"]);
  assert.equal((await fetch(`http://${one.httpAddress}/constructor`)).status, 404);
});

test("its metrics count instances by service and health, and probes that fail", async (t) => {
  const gone = await startService("discovery", {});
  await gone.stop();
  const { address } = gone;
  const listed = [instance("zeta"), { ...instance("zeta"), address, probe: Probe.GRPC }];
  const registrations = listed.map((known) => new Registration([one.address], known));
  t.after(() => Promise.all(registrations.map((registration) => registration.withdraw())));
  const metrics = async () => (await fetch(`http://${one.httpAddress}/metrics`)).text();
  const text = await until(async () => {
    const now = await metrics();
    return /service="zeta",health="UNHEALTHY"/.test(now) && now;
  });
  assert.match(text, /^piata_instances{service="zeta",health="UNPROBED".*} 1$/m);
  assert.match(text, /^piata_instances{service="zeta",health="UNHEALTHY".*} 1$/m);
  assert.match(text, /^piata_probe_failures_total{verdict="DEAD".*} [1-9]/m);
});
