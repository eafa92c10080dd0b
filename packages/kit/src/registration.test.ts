import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it, type TestContext } from "node:test";
import { type HeartbeatRequest, type Instance, Probe } from "@piata/contracts/discovery";
import { until } from "@piata/testkit/until";
import { invalidArgument } from "./errors.js";
import { LoadMeter } from "./load-meter.js";
import { Metrics } from "./metrics.js";
import { Registration } from "./registration.js";
import { openTrialLog, serve } from "./trial.js";

const HEARTBEAT_MS = 700;
const PATIENCE_MS = 10_000;

const instance = (): Instance => ({
  id: randomUUID(),
  service: "cart",
  address: "127.0.0.1:1",
  httpAddress: "",
  version: "",
  startedAt: undefined,
  probe: Probe.GRPC,
});

/** A discovery that remembers who said what. */
async function serveDiscovery(
  t: TestContext,
  heard: (beat: HeartbeatRequest) => unknown,
  port = 0,
) {
  const beats: HeartbeatRequest[] = [];
  const withdrawn: string[] = [];
  const trial = await serve(
    {
      heartbeat: async (beat) => {
        beats.push(beat);
        await heard(beat);
        return { leaseMs: 2_500 };
      },
      withdraw: async ({ instanceId }) => {
        withdrawn.push(instanceId);
        return {};
      },
    },
    { port },
  );
  t.after(() => trial.close());
  return { ...trial, beats, withdrawn };
}

async function nobody() {
  const away = await serve({});
  await away.close();
  return away;
}

describe("a registration", () => {
  it("heartbeats to every discovery that is there and withdraws from all", async (t) => {
    const [one, other] = [await serveDiscovery(t, () => {}), await serveDiscovery(t, () => {})];
    const away = await nobody();
    const listed = instance();
    const registration = new Registration([one.address, away.address, other.address], listed);
    await until(() => one.beats.length >= 2 && other.beats.length >= 2);
    const start = performance.now();
    await registration.withdraw();
    assert.ok(performance.now() - start < 3 * HEARTBEAT_MS);
    assert.deepEqual([one.withdrawn, other.withdrawn], [[listed.id], [listed.id]]);
    const ids = [...one.beats, ...other.beats].map((beat) => beat.instance?.id);
    assert.deepEqual(new Set(ids), new Set([listed.id]));
  });

  it("lists itself again with a discovery that comes back", async (t) => {
    const first = await nobody();
    const registration = new Registration([first.address], instance());
    t.after(() => registration.withdraw());
    const again = await serveDiscovery(t, () => {}, first.server.port);
    await until(() => again.beats.length > 0);
  });

  it("has been tried when all have answered or are away, at the same time", async (t) => {
    const both = Promise.withResolvers<void>();
    let arrived = 0;
    const meet = async () => {
      arrived += 1;
      if (arrived === 2) both.resolve();
      await both.promise;
    };
    const [one, other] = [await serveDiscovery(t, meet), await serveDiscovery(t, meet)];
    const away = await nobody();
    const addresses = [one.address, other.address, away.address];
    const registration = new Registration(addresses, instance());
    t.after(() => registration.withdraw());
    await registration.tried(PATIENCE_MS);
    assert.ok(one.beats.length >= 1 && other.beats.length >= 1);
  });

  it("does not wait for a discovery that does not answer", async (t) => {
    const never = Promise.withResolvers<void>();
    const mute = await serveDiscovery(t, () => never.promise);
    const registration = new Registration([mute.address], instance());
    t.after(() => registration.withdraw());
    t.after(() => never.resolve());
    const start = performance.now();
    await registration.tried(50);
    assert.ok(performance.now() - start < HEARTBEAT_MS);
  });

  it("says once in the log why a discovery refuses it", async (t) => {
    const discovery = await serveDiscovery(t, () => {
      throw invalidArgument("INSTANCE_INVALID", "Its id must be better.", {});
    });
    const { log, lines } = openTrialLog();
    const registration = new Registration([discovery.address], instance(), { log });
    t.after(() => registration.withdraw());
    await until(() => discovery.beats.length >= 3);
    assert.deepEqual(
      lines().map(({ reason }) => reason),
      ["INSTANCE_INVALID"],
    );
  });

  it("tells how busy the program is", async (t) => {
    const metrics = new Metrics("trial");
    let nowMs = 0;
    const meter = new LoadMeter(metrics, () => nowMs);
    const discovery = await serveDiscovery(t, () => {
      nowMs += 1_000;
    });
    metrics.callsInProgress = 3;
    for (let calls = 0; calls < 5; calls += 1) metrics.answer("a", "OK", performance.now());
    const options = { load: () => meter.load() };
    const registration = new Registration([discovery.address], instance(), options);
    t.after(() => registration.withdraw());
    const beats = await until(() => discovery.beats.length >= 2 && discovery.beats);
    const loads = beats.map(({ load }) => load);
    assert.equal(loads[0]?.callsPerSecond, 0);
    assert.equal(loads[1]?.callsPerSecond, 5);
    assert.equal(loads[1]?.callsInProgress, 3);
    const { eventLoopUtilization = -1, cpuCores = -1, memoryBytes = 0 } = loads[1] ?? {};
    assert.ok(eventLoopUtilization >= 0 && eventLoopUtilization <= 1);
    assert.ok(cpuCores >= 0);
    assert.ok(memoryBytes > 2 ** 20);
  });
});
