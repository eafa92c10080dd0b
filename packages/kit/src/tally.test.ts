import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Counter, Histogram, Registry } from "prom-client";
import { TallyCounter, TallyHistogram } from "./tally.js";

describe("a tally", () => {
  const name = "trial";
  const help = "A trial.";
  const labelNames = ["method", "code"];
  const counted = [
    [1, "get", "OK"],
    [5, "get", "NOT_FOUND"],
    [2, "put", "OK"],
    [4, "get", "OK"],
  ] as const;

  it("shows a counter as prom-client shows its own", async () => {
    const [ours, theirs] = [new Registry(), new Registry()];
    const tally = new TallyCounter({ name, help, labelNames, registry: ours });
    const counter = new Counter({ name, help, labelNames, registers: [theirs] });
    for (const [count, method, code] of counted) {
      tally.add(count, method, code);
      counter.inc({ method, code }, count);
    }
    assert.equal(await ours.metrics(), await theirs.metrics());
  });

  it("shows a histogram as prom-client shows its own, on the bounds and beyond them", async () => {
    const [ours, theirs] = [new Registry(), new Registry()];
    for (const registry of [ours, theirs]) registry.setDefaultLabels({ program: "trial" });
    const buckets = [1, 2.5, 5];
    const tally = new TallyHistogram({ name, help, labelNames, buckets, registry: ours });
    const histogram = new Histogram({ name, help, labelNames, buckets, registers: [theirs] });
    for (const [, method, code] of counted) {
      for (const value of [0, 1, 1.1, 2.5, 5, 5.5]) {
        tally.observe(value, method, code);
        histogram.observe({ method, code }, value);
      }
    }
    const lines = async (registry: Registry) => (await registry.metrics()).split("\n").map(sorted);
    assert.deepEqual(await lines(ours), await lines(theirs));
  });

  it("refuses a name that is taken", () => {
    const registry = new Registry();
    const make = () => new TallyCounter({ name, help, labelNames, registry });
    make();
    assert.throws(make, /already been registered/);
  });
});

/** The labels of a line have no order. */
const sorted = (line: string): string =>
  line.replace(/\{(.*)\}/, (_, labels: string) => `{${labels.split(",").sort().join(",")}}`);
