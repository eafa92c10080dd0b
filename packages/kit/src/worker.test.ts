import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { until } from "@piata/testkit/until";
import { gate, openTrialLog } from "./trial.js";
import { Worker } from "./worker.js";

/** A queue in memory with a claim like that of a store. */
function queue(jobs: number[]) {
  const limits: number[] = [];
  const claim = async (limit: number) => {
    limits.push(limit);
    return jobs.splice(0, limit);
  };
  return { jobs, limits, claim };
}

const idleMs = 1;
const { log } = openTrialLog();

describe("a worker", () => {
  it("works on what is due, now and later", async () => {
    const { jobs, claim } = queue([1, 2, 3]);
    const done: number[] = [];
    const work = async (job: number) => {
      done.push(job);
    };
    const worker = new Worker({ name: "test", log, claim, work, idleMs });
    await until(() => done.length === 3);
    jobs.push(4);
    await until(() => done.length === 4);
    await worker.stop();
    assert.deepEqual(done, [1, 2, 3, 4]);
    assert.equal(worker.busy, 0);
  });

  it("has at most jobsMax in hand and claims only as many as are free", async () => {
    const { jobs, limits, claim } = queue([1, 2, 3, 4, 5, 6, 7]);
    let [running, most] = [0, 0];
    const open = gate();
    const work = async () => {
      running += 1;
      most = Math.max(most, running);
      await open.promise;
      running -= 1;
    };
    const worker = new Worker({ name: "test", log, claim, work, idleMs, jobsMax: 3 });
    await until(() => worker.busy === 3);
    for (let turns = 0; turns < 20; turns += 1) await turn();
    assert.deepEqual([worker.busy, jobs.length, limits], [3, 4, [3]]);
    open.resolve();
    await until(() => jobs.length === 0 && running === 0);
    await worker.stop();
    assert.equal(most, 3);
  });

  it("logs a job that fails, at once or later, and goes on", async () => {
    const trial = openTrialLog();
    const { claim } = queue([1, 2, 3]);
    const done: number[] = [];
    const worker = new Worker<number>({
      name: "saga",
      log: trial.log,
      claim,
      idleMs,
      work(job) {
        if (job === 1) throw new Error("at once");
        if (job === 2) return Promise.reject(new Error("later"));
        done.push(job);
        return Promise.resolve();
      },
    });
    await until(() => done.length === 1);
    await worker.stop();
    const failed = trial.lines().map(({ msg, worker, err }) => [msg, worker, messageOf(err)]);
    assert.deepEqual(failed, [
      ["a job failed", "saga", "at once"],
      ["a job failed", "saga", "later"],
    ]);
  });

  it("logs a claim that fails and claims again", async () => {
    const trial = openTrialLog();
    const { claim, jobs } = queue([]);
    let tries = 0;
    const done: number[] = [];
    const worker = new Worker<number>({
      name: "saga",
      log: trial.log,
      idleMs,
      async claim(limit) {
        tries += 1;
        if (tries <= 2) throw new Error("the database is away");
        jobs.push(tries);
        return claim(limit);
      },
      async work(job) {
        done.push(job);
      },
    });
    await until(() => done.length > 0);
    await worker.stop();
    assert.equal(done[0], 3);
    const warned = trial.lines().filter(({ msg }) => msg === "could not claim jobs");
    assert.deepEqual(
      warned.map(({ reason, level }) => [reason, level]),
      Array(2).fill(["the database is away", "warn"]),
    );
  });

  it("works on what its caller holds already, without a claim", async () => {
    const worked: number[] = [];
    const worker = new Worker<number>({
      name: "test",
      log,
      claim: async () => [],
      work: async (job) => {
        worked.push(job);
      },
    });
    worker.start(7);
    assert.deepEqual(worked, [7], "it begins at once");
    assert.equal(worker.busy, 1);
    await worker.stop();
    assert.equal(worker.busy, 0);
  });

  it("stops only when what it works on is done, and claims nothing more", async () => {
    const { limits, claim } = queue([1]);
    const open = gate();
    const worker = new Worker({ name: "test", log, claim, work: () => open.promise, idleMs });
    await until(() => worker.busy === 1);
    let stopped = false;
    const stop = worker.stop().then(() => {
      stopped = true;
    });
    for (let turns = 0; turns < 10; turns += 1) await turn();
    const claims = limits.length;
    assert.equal(stopped, false);
    open.resolve();
    await stop;
    assert.equal(limits.length, claims);
  });
});

const messageOf = (err: unknown): unknown => (err as { message?: unknown }).message;
