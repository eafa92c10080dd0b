import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RateLimit } from "./rate-limit.js";

/** A limit of so many a minute on a clock that the test moves. */
function limited(max: number, keysMax?: number) {
  let nowMs = 5_000;
  const now = () => nowMs;
  const limit = new RateLimit({ max, periodMs: 60_000, now, ...(keysMax && { keysMax }) });
  const take = (key: string | number = "ana") => limit.take(key).retryAfterSeconds === 0;
  const passMs = (ms: number) => {
    nowMs += ms;
  };
  return { limit, take, passMs };
}

describe("a rate limit", () => {
  it("lets as many through at once as it says, and one more each time that a share has passed", () => {
    const { take, passMs, limit } = limited(3);
    assert.deepEqual([take(), take(), take(), take()], [true, true, true, false]);
    assert.equal(limit.take("ana").retryAfterSeconds, 20);
    passMs(19_000);
    assert.equal(limit.take("ana").retryAfterSeconds, 1);
    passMs(1_000);
    assert.deepEqual([take(), take()], [true, false]);
    passMs(60_000);
    assert.deepEqual([take(), take(), take(), take()], [true, true, true, false]);
  });

  it("says what is left, and when all of it is back", () => {
    const { limit, passMs } = limited(3);
    const left = () => {
      const { remaining, resetSeconds, retryAfterSeconds } = limit.take("ana");
      return [remaining, resetSeconds, retryAfterSeconds];
    };
    assert.deepEqual(left(), [2, 20, 0]);
    assert.deepEqual(left(), [1, 40, 0]);
    passMs(10_000);
    assert.deepEqual(left(), [0, 50, 0]);
    assert.deepEqual(left(), [0, 50, 10]);
  });

  it("counts exactly when shares are fractions of a millisecond", () => {
    const { take } = limited(70_001);
    for (let time = 0; time < 70_001; time += 1) assert.ok(take(), `request ${time}`);
    assert.ok(!take());
  });

  it("does not count what it refuses", () => {
    const { take, passMs } = limited(1);
    assert.ok(take());
    for (let time = 0; time < 100; time += 1) assert.ok(!take());
    passMs(60_000);
    assert.ok(take());
  });

  it("counts each for themselves, and forgets those who have all of it back", () => {
    const { take, passMs, limit } = limited(1);
    assert.deepEqual([take("ana"), take("ion"), take(7), take("ana")], [true, true, true, false]);
    passMs(61_000);
    assert.ok(take("ion"));
    assert.equal(limit.size, 1);
  });

  it("remembers no more than it may", () => {
    const { take, limit } = limited(1, 1_000);
    for (let key = 0; key < 5_000; key += 1) take(key);
    assert.equal(limit.size, 1_000);
    assert.ok(!take(4_999), "the latest is remembered");
  });
});
