import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { Instance } from "@piata/contracts/discovery";
import type { Outcome } from "./health.js";
import { Prober } from "./prober.js";
import { trialInstance } from "./trial-instance.js";

const SERVING: Outcome = { verdict: "SERVING" };
const SILENT: Outcome = { verdict: "NO_ANSWER", why: "no answer" };

/** A prober whose probes answer when the test says so, by a clock that the test sets. */
function trialProber(instances: Instance[]) {
  let nowMs = 0;
  const asked: { instance: Instance; answer: (outcome: Outcome) => void }[] = [];
  const closed: Instance[] = [];
  const reports: [string, string][] = [];
  const prober = new Prober({
    instances: () => instances,
    report: ({ id }, { verdict }) => reports.push([id, verdict]),
    probeOf: (instance) => ({
      ask: () =>
        new Promise((answer) => {
          asked.push({ instance, answer });
        }),
      close: () => closed.push(instance),
    }),
    now: () => nowMs,
    random: () => 0.5,
  });
  return {
    prober,
    asked,
    closed,
    reports,
    pass: (ms: number) => {
      nowMs += ms;
      prober.tick();
    },
    answer: async (outcome: Outcome) => {
      for (const probe of asked.splice(0)) probe.answer(outcome);
      await turn();
    },
  };
}

describe("the prober", () => {
  it("asks what has just come soon, then once a second, and sooner after a failure", async () => {
    const trial = trialProber([trialInstance("a")]);
    trial.pass(0);
    assert.equal(trial.asked.length, 0);
    trial.pass(100);
    assert.equal(trial.asked.length, 1);
    await trial.answer(SERVING);
    trial.pass(999);
    assert.equal(trial.asked.length, 0);
    trial.pass(1);
    await trial.answer(SILENT);
    trial.pass(500);
    assert.equal(trial.asked.length, 1);
    assert.deepEqual(trial.reports, [
      ["a", "SERVING"],
      ["a", "NO_ANSWER"],
    ]);
  });

  it("asks an instance once at a time", () => {
    const trial = trialProber([trialInstance("a")]);
    for (let ticks = 0; ticks < 50; ticks += 1) trial.pass(100);
    assert.equal(trial.asked.length, 1);
  });

  it("asks at most a hundred at a time, and everyone in turn", async () => {
    const instances = Array.from({ length: 250 }, (_, at) => trialInstance(`i-${at}`));
    const trial = trialProber(instances);
    trial.pass(0);
    trial.pass(100);
    assert.equal(trial.asked.length, 100);
    const seen = new Set<string>();
    for (let ticks = 0; ticks < 3; ticks += 1) {
      for (const { instance } of trial.asked) seen.add(instance.id);
      await trial.answer(SERVING);
      trial.pass(100);
    }
    assert.equal(seen.size, 250);
  });

  it("does not blame an instance for its own being late", async () => {
    const trial = trialProber([trialInstance("a")]);
    trial.pass(0);
    trial.pass(100);
    trial.pass(5_000);
    await trial.answer(SILENT);
    assert.deepEqual(trial.reports, []);
  });

  it("forgets what has gone or changed, and what its probe says then", async () => {
    const instances = [trialInstance("a")];
    const trial = trialProber(instances);
    trial.pass(0);
    trial.pass(100);
    const changed = { ...trialInstance("a"), address: "127.0.0.1:5001" };
    instances.splice(0, 1, changed);
    trial.pass(100);
    assert.equal(trial.closed.length, 1);
    await trial.answer(SERVING);
    assert.deepEqual(trial.reports, []);
    trial.pass(100);
    assert.deepEqual(
      trial.asked.map(({ instance }) => instance.address),
      [changed.address],
    );
    trial.prober.close();
    assert.equal(trial.closed.length, 2);
  });
});
