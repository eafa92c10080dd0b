import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { isFailure } from "@piata/kit/errors";
import { type Listing, Registry } from "./registry.js";

const instance = (id: string, address = "127.0.0.1:5000") => ({
  id,
  service: "catalog",
  address,
  httpAddress: "127.0.0.1:6000",
  version: "1.0.0",
  startedAt: undefined,
});

function registryAt() {
  let nowMs = 0;
  const registry = new Registry(1_000, () => nowMs);
  return {
    registry,
    pass: (ms: number) => {
      nowMs += ms;
      registry.sweep();
    },
  };
}

test("an instance stays listed while it heartbeats, and no longer than its lease", () => {
  const { registry, pass } = registryAt();
  registry.heartbeat(instance("a"));
  pass(900);
  registry.heartbeat(instance("a"));
  pass(900);
  assert.equal(registry.listing().instances.length, 1);
  pass(101);
  assert.deepEqual(registry.listing().instances, []);
});

test("a withdrawn instance is off the list at once", () => {
  const { registry } = registryAt();
  registry.heartbeat(instance("a"));
  registry.withdraw("a");
  assert.deepEqual(registry.listing().instances, []);
});

test("a registry younger than a lease says that its list is not settled", () => {
  const { registry, pass } = registryAt();
  assert.equal(registry.listing().settled, false);
  pass(1_000);
  assert.equal(registry.listing().settled, true);
});

test("watchers hear of changes once per turn, and not of mere renewals", async () => {
  const { registry } = registryAt();
  const heard: Listing[] = [];
  const unwatch = registry.watch((listing) => heard.push(listing));
  registry.heartbeat(instance("a"));
  registry.heartbeat(instance("b"));
  await turn();
  assert.deepEqual(
    heard.map(({ instances }) => instances.map(({ id }) => id)),
    [["a", "b"]],
  );
  registry.heartbeat(instance("a"));
  await turn();
  assert.equal(heard.length, 1);
  registry.heartbeat(instance("a", "127.0.0.1:5001"));
  await turn();
  assert.equal(heard.length, 2);
  unwatch();
  registry.withdraw("a");
  await turn();
  assert.equal(heard.length, 2);
});

test("an instance without an address or with an odd service name is refused", () => {
  const { registry } = registryAt();
  for (const bad of [
    undefined,
    instance(""),
    instance("a", "127.0.0.1"),
    { ...instance("a"), service: "../etc" },
  ]) {
    assert.throws(
      () => registry.heartbeat(bad),
      (error) => isFailure(error, "INSTANCE_INVALID"),
    );
  }
});
