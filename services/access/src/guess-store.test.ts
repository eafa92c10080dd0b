import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { Secret } from "@piata/kit/config";
import { Metrics } from "@piata/kit/metrics";
import { Database, statement } from "@piata/kit/pg";
import { openServiceDatabase, type ServiceDatabase } from "@piata/testkit/database";
import { type GuessLimits, type Slot, slotsOf, WINDOW_SECONDS } from "./guess-limits.js";
import { GuessStore, type Taken } from "./guess-store.js";
import { accessDatabase } from "./trial.js";

const LIMITS: GuessLimits = { perAccount: 10, byStrangers: 7, perNetwork: 100 };

describe("slots of guesses", () => {
  let database: ServiceDatabase<Database>;
  let store: GuessStore;
  let stores: GuessStore[];

  before(async () => {
    const open = (url: string) => new Database(new Secret(url), { program: "test" });
    database = await openServiceDatabase({ ...accessDatabase, open });
    store = new GuessStore(database.db, new Metrics("test"));
    // As many instances would.
    stores = [store, ...[1, 2].map(() => new GuessStore(database.connect(), new Metrics("test")))];
  });
  after(() => database.drop());

  const rows = (sql: string, values: unknown[] = []) =>
    database.db.rows<Record<string, unknown>>(statement("", sql), values);
  const newSlots = (guess: { account?: string; network?: string; isKnown?: boolean } = {}) => {
    const { account = randomUUID(), network = randomUUID(), isKnown = false } = guess;
    return slotsOf({ account, network }, isKnown, LIMITS);
  };
  const earlier = (slots: Slot[], seconds: number) =>
    rows(
      `update password_guesses
          set failed_at = array(select t - make_interval(secs => $2) from unnest(failed_at) as t),
              newest_at = newest_at - make_interval(secs => $2)
        where key = any($1)`,
      [slots.map(({ key }) => key), seconds],
    );

  /** How many of many that come at once, through all the stores, get what they want. */
  async function takeAtOnce(count: number, slots: () => Slot[]): Promise<Taken[]> {
    const all = Array.from({ length: count }, (_, i) =>
      (stores[i % stores.length] as GuessStore).take(slots()),
    );
    return (await Promise.all(all)).filter((taken) => typeof taken !== "number");
  }

  it("are never taken more often than the limit, however many come at once", async () => {
    const account = randomUUID();
    const strangers = () => newSlots({ account });
    assert.equal((await takeAtOnce(60, strangers)).length, 7);
    const owner = () => newSlots({ account, isKnown: true });
    assert.equal((await takeAtOnce(60, owner)).length, 3);
    assert.equal((await takeAtOnce(20, strangers)).length, 0);
  });

  it("are shared by all accounts of a network, in whatever order they come", async () => {
    const network = randomUUID();
    assert.equal((await takeAtOnce(150, () => newSlots({ network }))).length, 100);
    assert.equal((await takeAtOnce(5, () => newSlots())).length, 5);
  });

  it("are all taken or none", async () => {
    const account = randomUUID();
    await takeAtOnce(7, () => newSlots({ account }));
    const refused = newSlots({ account });
    assert.equal(typeof (await store.take(refused)), "number");
    const [other] = await rows(`select failed_at from password_guesses where key = $1`, [
      refused[2]?.key,
    ]);
    assert.deepEqual(other, { failed_at: [] });
  });

  it("never wait for each other in a circle", async () => {
    const networks = Array.from({ length: 3 }, randomUUID);
    const accounts = Array.from({ length: 3 }, randomUUID);
    const pick = (of: string[]) => of[Math.floor(Math.random() * of.length)] as string;
    const guess = async (mine: GuessStore) => {
      const slots = newSlots({ account: pick(accounts), network: pick(networks) });
      const taken = await mine.take(slots);
      if (typeof taken !== "number") await mine.giveBack(taken);
    };
    const guesses = Array.from({ length: 300 }, (_, i) => guess(stores[i % 3] as GuessStore));
    await Promise.all(guesses);
    const [left] = await rows(
      "select count(*)::int as count from password_guesses where key = any($1) and failed_at <> '{}'",
      [accounts.flatMap((account) => newSlots({ account }).map(({ key }) => key))],
    );
    assert.deepEqual(left, { count: 0 });
  });

  it("are free again once given back, one for one", async () => {
    const slots = newSlots();
    const taken = await takeAtOnce(7, () => slots);
    await store.giveBack(taken[3] as Taken);
    await store.giveBack(taken[3] as Taken);
    assert.equal((await takeAtOnce(5, () => slots)).length, 1);
    // Two of the same microsecond.
    await rows(
      "update password_guesses set failed_at = array_fill(failed_at[1], array[7]) where key = $1",
      [slots[1]?.key],
    );
    const [first] = await rows(
      "select failed_at[1]::text as at from password_guesses where key = $1",
      [slots[1]?.key],
    );
    await store.giveBack({ keys: slots.map(({ key }) => key), at: first?.at as string });
    assert.equal((await takeAtOnce(5, () => slots)).length, 1);
  });

  it("are free again when the window has passed, each by itself", async () => {
    const slots = newSlots();
    await takeAtOnce(4, () => slots);
    await earlier(slots, 600);
    await takeAtOnce(3, () => slots);
    const waits = [await store.findWait(slots), await store.take(slots)];
    for (const wait of waits) assert.ok(Math.abs((wait as number) - 300) < 5, `${wait}`);
    await earlier(slots, 299);
    assert.ok((await store.findWait(slots)) <= 1);
    await earlier(slots, 1);
    assert.equal(await store.findWait(slots), 0);
    assert.equal((await takeAtOnce(20, () => slots)).length, 4);
  });

  it("are forgotten when they say nothing any more", async () => {
    const [old, young] = [newSlots(), newSlots()];
    await takeAtOnce(2, () => old);
    await takeAtOnce(2, () => young);
    await earlier(old, WINDOW_SECONDS + 1);
    const deleted = [];
    do deleted.push(await store.deleteOld(2));
    while (deleted.at(-1) === 2);
    const left = await rows("select key from password_guesses where key = any($1)", [
      [...old, ...young].map(({ key }) => key),
    ]);
    assert.equal(left.length, young.length);
  });
});
