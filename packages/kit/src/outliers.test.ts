import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { Outliers } from "./outliers.js";

/** Outliers over a list that the test sets, with a clock that it moves. */
function trial(t: TestContext, ...known: string[]) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let tell: (addresses: readonly string[]) => void = () => undefined;
  const outliers = new Outliers({
    subscribe: (listener) => {
      tell = listener;
      return () => undefined;
    },
  });
  const lists: (readonly string[])[] = [];
  const unsubscribe = outliers.subscribe((addresses) => lists.push(addresses));
  tell(known);
  const fail = (address: string, times = 3) => {
    for (let count = 0; count < times; count += 1) outliers.failed(address);
  };
  return { outliers, tell, fail, unsubscribe, lists, left: () => lists.at(-1) };
}

describe("outlier ejection", () => {
  it("takes an instance off after three failures in a row, and puts it back", (t) => {
    const { outliers, fail, left } = trial(t, "a:1", "b:1");
    fail("a:1", 2);
    outliers.answered("a:1");
    fail("a:1", 2);
    assert.deepEqual(left(), ["a:1", "b:1"], "an answer came between");
    outliers.failed("a:1");
    assert.deepEqual(left(), ["b:1"]);
    assert.equal(outliers.size, 1);
    t.mock.timers.tick(999);
    assert.deepEqual(left(), ["b:1"]);
    t.mock.timers.tick(1);
    assert.deepEqual(left(), ["a:1", "b:1"]);
    assert.equal(outliers.size, 2);
  });

  it("takes one that fails again off for twice as long, up to half a minute", (t) => {
    const { fail, left } = trial(t, "a:1", "b:1");
    for (const ejectMs of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      fail("a:1");
      t.mock.timers.tick(ejectMs - 1);
      assert.deepEqual(left(), ["b:1"]);
      t.mock.timers.tick(1);
      assert.deepEqual(left(), ["a:1", "b:1"]);
    }
  });

  it("begins anew with one that has answered since", (t) => {
    const { outliers, fail, left } = trial(t, "a:1", "b:1");
    fail("a:1");
    t.mock.timers.tick(1_000);
    outliers.answered("a:1");
    fail("a:1");
    t.mock.timers.tick(1_000);
    assert.deepEqual(left(), ["a:1", "b:1"]);
  });

  it("leaves at least half of the instances", (t) => {
    const { fail, left } = trial(t, "a:1", "b:1", "c:1", "d:1");
    for (const address of ["a:1", "b:1", "c:1", "d:1"]) fail(address);
    assert.deepEqual(left(), ["c:1", "d:1"]);
  });

  it("leaves a single instance alone", (t) => {
    const { fail, left } = trial(t, "a:1");
    fail("a:1", 10);
    assert.deepEqual(left(), ["a:1"]);
  });

  it("gives back the ejected ones when the list becomes so short that too few are left", (t) => {
    const { fail, tell, left } = trial(t, "a:1", "b:1");
    fail("b:1");
    assert.deepEqual(left(), ["a:1"]);
    tell(["b:1"]);
    assert.deepEqual(left(), ["b:1"], "it is the only one");
  });

  it("takes one that is listed twice for one", (t) => {
    const { outliers, fail, left } = trial(t, "a:1", "a:1");
    fail("a:1", 10);
    assert.deepEqual([left(), outliers.size], [["a:1"], 1]);
  });

  it("forgets what is not listed any more, and keeps its list when told of none", (t) => {
    const { outliers, fail, tell, left } = trial(t, "a:1", "b:1");
    fail("a:1");
    tell(["b:1", "c:1"]);
    assert.deepEqual(left(), ["b:1", "c:1"]);
    tell(["a:1", "b:1"]);
    assert.deepEqual(left(), ["a:1", "b:1"], "it came back as a new one");
    tell([]);
    assert.equal(outliers.size, 2);
    fail("unknown:1");
    assert.deepEqual(left(), ["a:1", "b:1"]);
  });

  it("tells nobody anything after the end of a subscription", (t) => {
    const { fail, unsubscribe, lists } = trial(t, "a:1", "b:1");
    fail("a:1");
    unsubscribe();
    const told = lists.length;
    t.mock.timers.tick(60_000);
    assert.equal(lists.length, told);
  });
});
