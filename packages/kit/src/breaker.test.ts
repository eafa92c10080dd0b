import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Breaker } from "./breaker.js";

describe("the breaker", () => {
  it("opens after five failures in a row, and not when an answer comes between", () => {
    const breaker = new Breaker(() => 0);
    for (let count = 0; count < 4; count += 1) breaker.failed();
    breaker.answered();
    for (let count = 0; count < 4; count += 1) breaker.failed();
    assert.equal(breaker.admits(), true);
    breaker.failed();
    assert.equal(breaker.admits(), false);
  });

  it("lets one call through every half second until one is answered", () => {
    let nowMs = 0;
    const breaker = new Breaker(() => nowMs);
    for (let count = 0; count < 5; count += 1) breaker.failed();
    const admitted: number[] = [];
    for (; nowMs <= 2_000; nowMs += 10) {
      if (!breaker.admits()) continue;
      admitted.push(nowMs);
      breaker.failed();
    }
    assert.deepEqual(admitted, [500, 1_000, 1_500, 2_000]);
    breaker.answered();
    assert.equal(breaker.admits(), true);
  });
});
