import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { Load, WatchResponse } from "@piata/contracts/discovery";
import { isFailure } from "@piata/kit/errors";
import type { Outcome } from "./health.js";
import { Registry } from "./registry.js";
import { trialInstance as instance } from "./trial-instance.js";

const SWEEP_MS = 100;
const SERVING: Outcome = { verdict: "SERVING" };
const DEAD: Outcome = { verdict: "DEAD", why: "connection refused" };
const SILENT: Outcome = { verdict: "NO_ANSWER", why: "no answer" };

const load = (given: Partial<Load> = {}): Load => ({
  callsInProgress: 0,
  callsPerSecond: 0,
  eventLoopUtilization: 0,
  cpuCores: 0,
  memoryBytes: 0,
  ...given,
});

function registryAt() {
  let nowMs = 0;
  const notes: string[] = [];
  const registry = new Registry({
    leaseMs: 1_000,
    now: () => nowMs,
    note: ({ id }, what) => notes.push(`${id} ${what}`),
  });
  const jump = (ms: number) => {
    nowMs += ms;
    registry.sweep();
  };
  return {
    registry,
    notes,
    /** Time as it passes with nobody sweeping. */
    jump,
    pass: (ms: number) => {
      for (let left = ms; left > 0; left -= SWEEP_MS) jump(Math.min(left, SWEEP_MS));
    },
    ids: () => registry.listing().instances.map(({ id }) => id),
    probe: (id: string, ...outcomes: Outcome[]) => {
      const found = registry.instances().find((known) => known.id === id);
      for (const outcome of outcomes) registry.probed(found ?? instance(id), outcome);
    },
  };
}

test("an instance stays listed while it heartbeats, and no longer than its lease", () => {
  const { registry, pass, ids, notes } = registryAt();
  registry.heartbeat(instance("a"));
  pass(900);
  registry.heartbeat(instance("a"));
  pass(1_000);
  assert.deepEqual(ids(), ["a"]);
  pass(1);
  assert.deepEqual(ids(), []);
  assert.deepEqual(notes, ["a registered", "a lost: no heartbeat for 1.0 s"]);
});

test("a registry that was paused itself does not hold that against anybody", () => {
  const { registry, pass, jump, ids } = registryAt();
  registry.heartbeat(instance("a"));
  pass(400);
  jump(60_000);
  pass(500);
  assert.deepEqual(ids(), ["a"]);
  pass(200);
  assert.deepEqual(ids(), []);
});

test("a withdrawn instance is off the list at once, and a late heartbeat changes nothing", () => {
  const { registry, ids } = registryAt();
  registry.heartbeat(instance("a"));
  registry.withdraw("a");
  registry.heartbeat(instance("a"));
  assert.deepEqual(ids(), []);
  assert.deepEqual(registry.listing().withdrawnIds, ["a"]);
});

test("what withdraws from a registry that did not know it is off for certain, too", () => {
  const { registry, pass } = registryAt();
  registry.withdraw("a");
  assert.deepEqual(registry.listing().withdrawnIds, ["a"]);
  pass(1_100);
  assert.deepEqual(registry.listing().withdrawnIds, []);
});

test("an unhealthy instance keeps its lease, is not listed, and is again by a probe only", () => {
  const { registry, ids, probe, notes } = registryAt();
  registry.heartbeat(instance("a"));
  probe("a", SERVING, DEAD);
  registry.heartbeat(instance("a"));
  assert.deepEqual(ids(), []);
  assert.deepEqual(registry.listing().withdrawnIds, ["a"]);
  assert.equal(registry.services().get("catalog")?.length, 1);
  probe("a", SILENT);
  assert.deepEqual(ids(), []);
  probe("a", SERVING);
  assert.deepEqual(ids(), ["a"]);
  assert.deepEqual(notes, ["a registered", "a unhealthy: connection refused", "a healthy again"]);
});

test("at most half of a service is off the list because it is silent", () => {
  const { registry, ids, probe } = registryAt();
  for (const id of ["a", "b", "c"]) registry.heartbeat(instance(id));
  registry.heartbeat(instance("x", "cart"));
  probe("a", SILENT, SILENT);
  probe("x", SERVING);
  assert.deepEqual(ids(), ["b", "c", "x"]);
  probe("b", SILENT, SILENT);
  assert.deepEqual(ids(), ["a", "b", "c", "x"]);
  probe("c", DEAD);
  assert.deepEqual(ids(), ["a", "b", "x"]);
  probe("b", SERVING);
  assert.deepEqual(ids(), ["b", "x"]);
});

test("a probe of what has changed or gone meanwhile says nothing", () => {
  const { registry, ids, probe } = registryAt();
  registry.heartbeat(instance("a"));
  const before = registry.instances()[0] ?? instance("a");
  registry.heartbeat(instance("a", "catalog", { address: "127.0.0.1:5001" }));
  registry.probed(before, DEAD);
  probe("nobody", DEAD);
  assert.deepEqual(ids(), ["a"]);
});

test("a registry younger than a lease says that its list is not settled", () => {
  const { registry, pass } = registryAt();
  assert.equal(registry.listing().settled, false);
  pass(1_000);
  assert.equal(registry.listing().settled, true);
});

test("watchers hear of changes once per turn, and not of renewals or of load", async () => {
  const { registry, probe } = registryAt();
  const heard: WatchResponse[] = [];
  const unwatch = registry.watch((listing) => heard.push(listing));
  registry.heartbeat(instance("a"));
  registry.heartbeat(instance("b"));
  await turn();
  assert.deepEqual(
    heard.map(({ instances }) => instances.map(({ id }) => id)),
    [["a", "b"]],
  );
  registry.heartbeat(instance("a"), load({ callsPerSecond: 99 }));
  probe("a", SILENT, SERVING, SERVING);
  await turn();
  assert.equal(heard.length, 2);
  probe("a", SERVING);
  registry.heartbeat(instance("a"), load());
  await turn();
  assert.equal(heard.length, 2);
  registry.heartbeat(instance("a", "catalog", { address: "127.0.0.1:5001" }));
  await turn();
  assert.equal(heard.length, 3);
  unwatch();
  registry.withdraw("a");
  await turn();
  assert.equal(heard.length, 3);
});

test("what is badly formed is refused by the name of its field", () => {
  const { registry, ids } = registryAt();
  const refused = (field: string, said: unknown, itsLoad?: Load) =>
    assert.throws(
      () => registry.heartbeat(said as never, itsLoad),
      (error) => isFailure(error, "INSTANCE_INVALID") && error.metadata.field === field,
      field,
    );
  refused("instance", undefined);
  const given = (field: string, value: unknown) =>
    refused(`instance.${field}`, instance("a", "catalog", { [field]: value }));
  for (const id of ["", "a b", "x".repeat(101)]) given("id", id);
  for (const service of ["", "../etc", "Catalog"]) given("service", service);
  for (const address of ["", "127.0.0.1", "h:0", "h:65536", "u@h:1", "h?:1", "a:b:1", "[::1:80"]) {
    given("address", address);
  }
  given("httpAddress", "nowhere");
  given("version", "1".repeat(101));
  given("startedAt", new Date(Number.NaN));
  given("probe", 99);
  refused("load.cpuCores", instance("a"), load({ cpuCores: Number.NaN }));
  refused("load.memoryBytes", instance("a"), load({ memoryBytes: -1 }));
  assert.deepEqual(ids(), []);
  registry.heartbeat(instance("a", "catalog", { address: "[::1]:80", httpAddress: "" }));
  assert.deepEqual(ids(), ["a"]);
});
