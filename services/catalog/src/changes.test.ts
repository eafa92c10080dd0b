import assert from "node:assert/strict";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { describe, it } from "node:test";
import { openTrialLog } from "@piata/kit/trial";
import { until } from "@piata/testkit/until";
import type { Change, Found } from "./change-store.js";
import { Changes } from "./changes.js";

/** A database of changes that can be away, slow and full of news, and what it was asked. */
class Table {
  readonly asked: (string | undefined)[] = [];
  productIds: number[] = [];
  away = false;
  /** So many answers come too late. */
  late = 0;
  clockMs = 1_000;
  nowMs = 0;
  #snapshots = 0;

  readonly findChanges = async (since?: string): Promise<Found> => {
    this.asked.push(since);
    if (this.away) throw new Error("away");
    const productIds = since === undefined ? [] : this.productIds;
    if (this.late > 0) {
      this.late -= 1;
      this.nowMs += 501;
    } else {
      this.productIds = [];
    }
    this.#snapshots += 1;
    const databaseMs = this.clockMs;
    return { productIds, categories: false, snapshot: `after ${this.#snapshots}`, databaseMs };
  };
}

function changesOf(table: Table) {
  const { log, text } = openTrialLog();
  const now = () => performance.now() + table.nowMs;
  return { changes: new Changes({ findChanges: table.findChanges, log, now }), log: text };
}

/** What one watcher is told, to be awaited message by message. */
function watch(changes: Changes) {
  const messages = new PassThrough({ objectMode: true });
  const stop = changes.watch({
    next: (change) => messages.write(change),
    complete: () => messages.end(),
  });
  const told = messages[Symbol.asyncIterator]() as AsyncIterator<Change>;
  const next = async () => (await told.next()).value?.productIds as number[] | undefined;
  /** The next message that is no heartbeat. */
  const nextNews = async () => {
    for (;;) {
      const ids = await next();
      if (ids === undefined || ids.length > 0) return ids;
    }
  };
  return { stop, messages, next, nextNews };
}

describe("a watcher of changes", () => {
  it("hears that its watch has begun, then what is new, then that nothing is", async () => {
    const table = new Table();
    const { changes } = changesOf(table);
    const watcher = watch(changes);
    assert.deepEqual(await watcher.next(), []);
    table.productIds = [7];
    assert.deepEqual(await watcher.next(), [7]);
    const quietMs = performance.now();
    assert.deepEqual(await watcher.next(), []);
    assert.ok(performance.now() - quietMs < 300);
    assert.deepEqual(table.asked.slice(0, 3), [undefined, "after 1", "after 2"]);
    await changes.close();
  });

  it("is told at once of what was written here, and again and again at most every 20 ms", async () => {
    const table = new Table();
    const { changes } = changesOf(table);
    const watcher = watch(changes);
    await watcher.next();
    const startedMs = performance.now();
    const asked = table.asked.length;
    for (let round = 1; round <= 10; round += 1) {
      table.productIds = [round];
      changes.pollSoon();
      assert.deepEqual(await watcher.nextNews(), [round]);
    }
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs < 900, `${tookMs} ms`);
    assert.ok(table.asked.length - asked <= tookMs / 20 + 1);
    await changes.close();
  });

  it("shares its poller with the others", async () => {
    const table = new Table();
    const { changes } = changesOf(table);
    const watchers = [watch(changes), watch(changes), watch(changes)];
    for (const watcher of watchers) await watcher.next();
    assert.deepEqual(table.asked, [undefined]);
    table.productIds = [3];
    for (const watcher of watchers) assert.deepEqual(await watcher.next(), [3]);
    await changes.close();
  });

  it("hears nothing of an answer that came too late, and misses nothing by it", async () => {
    const table = new Table();
    const { changes } = changesOf(table);
    const watcher = watch(changes);
    await watcher.next();
    table.late = 3;
    table.productIds = [5];
    const asked = table.asked.length;
    assert.deepEqual(await watcher.next(), [5]);
    const again = table.asked.slice(asked, asked + 4);
    assert.deepEqual(again, Array(4).fill(again[0]), "it asks from where it was");
    await changes.close();
  });

  const losses: Record<string, (table: Table) => void> = {
    "the database did not answer": (table) => {
      table.away = true;
    },
    "the instance hung": (table) => {
      table.nowMs += 5_001;
    },
    "the machine slept, and only the database's clock went on": (table) => {
      table.clockMs += 5_001;
    },
    "the database's clock was set back": (table) => {
      table.clockMs -= 1;
    },
  };
  for (const [what, happen] of Object.entries(losses)) {
    it(`is let go when ${what}, and one that comes later begins anew`, async () => {
      const table = new Table();
      const { changes, log } = changesOf(table);
      const watcher = watch(changes);
      await watcher.next();
      happen(table);
      while ((await watcher.next()) !== undefined);
      assert.match(log(), /changes may have been missed/);
      const asked = table.asked.length;
      const later = watch(changes);
      await until(() => table.asked.length > asked);
      table.away = false;
      assert.deepEqual(await later.next(), []);
      assert.equal(table.asked[asked], undefined, "it begins with no snapshot");
      await changes.close();
    });
  }

  it("waits for its first message while the database is away", async () => {
    const table = new Table();
    table.away = true;
    const { changes } = changesOf(table);
    const watcher = watch(changes);
    await until(() => table.asked.length >= 3);
    assert.equal(watcher.messages.writableEnded, false);
    table.away = false;
    assert.deepEqual(await watcher.next(), []);
    await changes.close();
  });

  it("leaves nothing behind: without watchers nobody asks the database", async () => {
    const table = new Table();
    const { changes } = changesOf(table);
    const watcher = watch(changes);
    await watcher.next();
    watcher.stop();
    // Resolves when the poller has ended.
    await changes.close();
    const asked = table.asked.length;
    changes.pollSoon();
    assert.equal(table.asked.length, asked);
  });

  it("is let go at the end, and one that comes later too", async () => {
    const { changes } = changesOf(new Table());
    const watcher = watch(changes);
    await watcher.next();
    await changes.close();
    assert.equal(await watcher.next(), undefined);
    const late = watch(changes);
    late.messages.resume();
    await once(late.messages, "end");
  });
});
