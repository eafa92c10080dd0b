import assert from "node:assert/strict";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { describe, it } from "node:test";
import { openLog } from "@piata/kit/log";
import { Revocations } from "./revocations.js";

const log = openLog("test", "fatal");
const RELEVANT_SECONDS = 604;

/** A database of ended sessions that can be away, and what it was asked. */
class Ended {
  readonly asked: number[] = [];
  ids: string[] = [];
  away = false;

  readonly findEnded = async (seconds: number): Promise<string[]> => {
    this.asked.push(seconds);
    if (this.away) throw new Error("away");
    return this.ids;
  };
}

function revocationsOf(ended: Ended): Revocations {
  return new Revocations({
    findEnded: ended.findEnded,
    relevantSeconds: RELEVANT_SECONDS,
    log,
  });
}

/** What one watcher is told, to be awaited message by message. */
function watch(revocations: Revocations) {
  const messages = new PassThrough({ objectMode: true });
  const stop = revocations.watch({
    next: (ids) => messages.write(ids),
    complete: () => messages.end(),
  });
  const told = messages[Symbol.asyncIterator]() as AsyncIterator<string[]>;
  return { stop, messages, next: async () => (await told.next()).value as string[] | undefined };
}

describe("a watcher of revocations", () => {
  it("is told first of all that matters, then of what is new, then that nothing is", async () => {
    const ended = new Ended();
    ended.ids = ["before"];
    const revocations = revocationsOf(ended);
    const watcher = watch(revocations);
    assert.deepEqual(await watcher.next(), ["before"]);
    assert.equal(ended.asked[0], RELEVANT_SECONDS);
    ended.ids = ["now"];
    assert.deepEqual(await watcher.next(), ["now"]);
    const again = ended.asked.at(-1) as number;
    assert.ok(again >= 2 && again < 5, `looked back ${again} s`);
    ended.ids = [];
    const quietMs = performance.now();
    assert.deepEqual(await watcher.next(), []);
    assert.ok(performance.now() - quietMs < 300);
    await revocations.close();
  });

  it("is told at once of a session that ended here", async () => {
    const ended = new Ended();
    const revocations = revocationsOf(ended);
    const watcher = watch(revocations);
    await watcher.next();
    ended.ids = ["here"];
    const startedMs = performance.now();
    revocations.pollSoon();
    assert.deepEqual(await watcher.next(), ["here"]);
    assert.ok(performance.now() - startedMs < 150);
    await revocations.close();
  });

  it("shares its poller with the others, and a new one is told all", async () => {
    const ended = new Ended();
    const revocations = revocationsOf(ended);
    const first = watch(revocations);
    await first.next();
    ended.ids = ["all"];
    const second = watch(revocations);
    assert.deepEqual(await second.next(), ["all"]);
    assert.deepEqual(await first.next(), ["all"]);
    assert.deepEqual(ended.asked, [RELEVANT_SECONDS, RELEVANT_SECONDS]);
    await revocations.close();
  });

  it("hears nothing while the database is away, and misses nothing by it", async () => {
    const ended = new Ended();
    const revocations = revocationsOf(ended);
    const watcher = watch(revocations);
    await watcher.next();
    ended.away = true;
    const asked = ended.asked.length;
    while (ended.asked.length < asked + 3) {
      revocations.pollSoon();
      await new Promise(setImmediate);
    }
    assert.equal(watcher.messages.readableLength, 0);
    ended.away = false;
    ended.ids = ["meanwhile"];
    assert.deepEqual(await watcher.next(), ["meanwhile"]);
    await revocations.close();
  });

  it("that came while the database is away is told all when it is back", async () => {
    const ended = new Ended();
    ended.away = true;
    const revocations = revocationsOf(ended);
    const watcher = watch(revocations);
    await new Promise(setImmediate);
    ended.away = false;
    await watcher.next();
    assert.deepEqual(ended.asked.slice(0, 2), [RELEVANT_SECONDS, RELEVANT_SECONDS]);
    await revocations.close();
  });

  it("leaves nothing behind: without watchers nobody asks the database", async () => {
    const ended = new Ended();
    const revocations = revocationsOf(ended);
    const watcher = watch(revocations);
    await watcher.next();
    watcher.stop();
    const asked = ended.asked.length;
    // Resolves when the poller has ended.
    await revocations.close();
    assert.equal(ended.asked.length, asked);
  });

  it("is let go at the end, and one that comes later too", async () => {
    const revocations = revocationsOf(new Ended());
    const watcher = watch(revocations);
    await watcher.next();
    await revocations.close();
    assert.equal(await watcher.next(), undefined);
    const late = watch(revocations);
    late.messages.resume();
    await once(late.messages, "end");
  });
});
