import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { afterProbe, type Health, listable, type Outcome, type State, unprobed } from "./health.js";

const SERVING: Outcome = { verdict: "SERVING" };
const SAYS_NO: Outcome = { verdict: "NOT_SERVING", why: "says NOT_SERVING" };
const DEAD: Outcome = { verdict: "DEAD", why: "connection refused" };
const SILENT: Outcome = { verdict: "NO_ANSWER", why: "no answer" };

/** The health of an instance that came at 0 and is probed every second. */
const after = (...outcomes: Outcome[]): Health =>
  outcomes.reduce(
    (health, outcome, at) => afterProbe(health, outcome, (at + 1) * 1_000),
    unprobed(0),
  );

const instances = (...states: State[]) =>
  states.map((state, at) => ({ name: `${state}-${at}`, health: { ...unprobed(0), state } }));

const listed = (...states: State[]) => listable(instances(...states)).length;

describe("the health of an instance", () => {
  it("is good as soon as it serves, since when it came", () => {
    const { state, sinceMs, why } = after(SERVING, SERVING);
    assert.deepEqual({ state, sinceMs, why }, { state: "HEALTHY", sinceMs: 0, why: "" });
  });

  it("is bad at once when nobody is there or it says so itself", () => {
    const { state, sinceMs, why } = after(SERVING, DEAD);
    assert.deepEqual([state, sinceMs, why], ["DOWN", 2_000, "connection refused"]);
    assert.equal(after(SERVING, SAYS_NO).why, "says NOT_SERVING");
  });

  it("suffers from silence only after two probes in a row", () => {
    assert.equal(after(SERVING, SILENT).state, "HEALTHY");
    assert.equal(after(SILENT, SERVING, SILENT).state, "HEALTHY");
    assert.equal(after(SILENT, SILENT).state, "SILENT");
    const { state, why, sinceMs } = after(SERVING, SILENT, SILENT, SILENT);
    assert.deepEqual([state, why, sinceMs], ["SILENT", "no answer to 3 probes", 2_000]);
  });

  it("stays bad until a probe succeeds, with its first instant and its latest reason", () => {
    const { state, why, sinceMs } = after(DEAD, SILENT, SILENT, SAYS_NO);
    assert.deepEqual([state, why, sinceMs], ["DOWN", "says NOT_SERVING", 1_000]);
    const again = after(DEAD, SERVING);
    assert.deepEqual([again.state, again.why, again.sinceMs], ["HEALTHY", "", 2_000]);
    assert.equal(after(SILENT, SILENT, SERVING, SILENT).state, "HEALTHY");
  });
});

describe("the list of a service", () => {
  it("leaves out who is silent, up to half of the service", () => {
    assert.equal(listed("HEALTHY", "SILENT"), 1);
    assert.equal(listed("HEALTHY", "UNPROBED", "SILENT", "SILENT"), 2);
  });

  it("does not believe that most of a service is silent", () => {
    assert.equal(listed("SILENT"), 1);
    assert.equal(listed("SILENT", "SILENT"), 2);
    assert.equal(listed("HEALTHY", "SILENT", "SILENT"), 3);
  });

  it("believes that all of a service is down", () => {
    assert.equal(listed("DOWN"), 0);
    assert.equal(listed("DOWN", "DOWN", "HEALTHY"), 1);
  });

  it("measures silence against those that are not down", () => {
    assert.equal(listed("DOWN", "DOWN", "SILENT", "SILENT"), 2);
    assert.equal(listed("DOWN", "HEALTHY", "SILENT"), 1);
  });
});
