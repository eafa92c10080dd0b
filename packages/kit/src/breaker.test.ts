import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Breaker } from "./breaker.js";

const ALL = ["a:1", "b:1"];

/** So many calls that found nobody to connect to. */
function fail(breaker: Breaker, times: number, instance?: string): void {
  for (let count = 0; count < times; count += 1) breaker.failed(instance, ALL);
}

describe("the breaker", () => {
  it("opens after five failures in a row, and not when an answer comes between", () => {
    const breaker = new Breaker(() => 0);
    fail(breaker, 4);
    breaker.answered();
    fail(breaker, 4);
    assert.equal(breaker.admits(), true);
    fail(breaker, 1);
    assert.equal(breaker.admits(), false);
  });

  it("does not open for one instance that dies under many calls, but when all have failed", () => {
    const breaker = new Breaker(() => 0);
    fail(breaker, 20, "a:1");
    fail(breaker, 20, "no longer listed:1");
    assert.equal(breaker.admits(), true);
    fail(breaker, 1, "b:1");
    assert.equal(breaker.admits(), false);
  });

  it("lets one call through every half second until one is answered", () => {
    let nowMs = 0;
    const breaker = new Breaker(() => nowMs);
    fail(breaker, 5);
    const admitted: number[] = [];
    for (; nowMs <= 2_000; nowMs += 10) {
      if (!breaker.admits()) continue;
      admitted.push(nowMs);
      fail(breaker, 1);
    }
    assert.deepEqual(admitted, [500, 1_000, 1_500, 2_000]);
    breaker.answered();
    assert.equal(breaker.admits(), true);
  });
});
