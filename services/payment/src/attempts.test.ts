import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Attempts, LATE, within } from "./attempts.js";

const never = new Promise<never>(() => undefined);

describe("within", () => {
  it("answers what the work comes to, or throws what it throws", async () => {
    assert.equal(await within(60_000, Promise.resolve("done")), "done");
    await assert.rejects(within(60_000, Promise.reject(new Error("broken"))), /broken/);
  });

  it("answers LATE when the time is over, and ignores what is thrown afterwards", async () => {
    const work = Promise.withResolvers<string>();
    assert.equal(await within(1, work.promise), LATE);
    work.reject(new Error("nobody listens"));
  });
});

describe("attempts", () => {
  it("are shared by all who ask for the same order", async () => {
    const attempts = new Attempts<string>(10);
    const work = Promise.withResolvers<string>();
    let started = 0;
    const start = () => {
      started += 1;
      return work.promise;
    };
    const joined = [attempts.join(1, start), attempts.join(1, start), attempts.join(2, start)];
    work.resolve("done");
    assert.deepEqual(await Promise.all(joined), ["done", "done", "done"]);
    assert.equal(started, 2);
  });

  it("start anew once they have ended", async () => {
    const attempts = new Attempts<number>(10);
    assert.equal(await attempts.join(1, async () => 1), 1);
    assert.equal(await attempts.join(1, async () => 2), 2);
  });

  it("are not started beyond the bound, but those there are can be joined", async () => {
    const attempts = new Attempts<string>(1);
    const work = Promise.withResolvers<string>();
    const first = attempts.join(1, () => work.promise);
    assert.equal(
      attempts.join(2, () => never),
      undefined,
    );
    assert.equal(
      attempts.join(1, () => never),
      first,
    );
    work.resolve("done");
    await first;
    assert.equal(await attempts.join(2, async () => "now"), "now");
  });

  it("are waited for at the end, those that fail as well", async () => {
    const attempts = new Attempts<string>(2);
    const done: string[] = [];
    const work = Promise.withResolvers<string>();
    const attempt = attempts.join(1, () => work.promise);
    attempt?.catch(() => done.push("attempt"));
    const ended = attempts.ended().then(() => done.push("ended"));
    work.reject(new Error("broken"));
    await ended;
    assert.deepEqual(done, ["attempt", "ended"]);
  });
});
