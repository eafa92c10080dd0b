/** Every SQL statement about guesses of passwords. */
import { coalesce } from "@piata/kit/coalesce";
import type { Metrics } from "@piata/kit/metrics";
import { type Database, statement } from "@piata/kit/pg";
import { type Slot, WINDOW_SECONDS, waitSeconds } from "./guess-limits.js";

/** What has been counted under a key within the window. */
interface GuessRow {
  key: Buffer;
  /** How many seconds ago each was, the oldest first. */
  ages: number[];
}

/** Slots of guesses that are held. */
export interface Taken {
  keys: Buffer[];
  /** As PostgreSQL writes it: a Date would lose its microseconds. */
  at: string;
}

/** Failed password checks, in PostgreSQL. */
export class GuessStore {
  readonly #db: Database;

  /** How many seconds until there is a free slot of each; 0 when there is now. */
  readonly findWait: (slots: readonly Slot[]) => Promise<number>;

  /** Takes a slot of each, or none of any: then it is how many seconds to wait. */
  readonly take: (slots: readonly Slot[]) => Promise<Taken | number>;

  /** Frees slots again: the password was right. */
  readonly giveBack: (taken: Taken) => Promise<void>;

  constructor(db: Database, metrics: Metrics) {
    this.#db = db;
    this.findWait = coalesce({
      ...metrics.batches("access.find_wait"),
      send: (wanted: (readonly Slot[])[]) => this.#findWaits(wanted),
    });
    this.take = coalesce({
      ...metrics.batches("access.take"),
      send: (wanted: (readonly Slot[])[]) => this.#take(wanted),
    });
    this.giveBack = coalesce({
      ...metrics.batches("access.give_back"),
      send: (taken: Taken[]) => this.#giveBack(taken),
    });
  }

  /** Deletes rows that say nothing any more; tells how many. */
  async deleteOld(limit: number): Promise<number> {
    return (await this.#db.rows(DELETE_OLD_GUESSES, [WINDOW_SECONDS, limit])).length;
  }

  async #findWaits(wanted: (readonly Slot[])[]): Promise<number[]> {
    const keys = wanted.flat().map(({ key }) => key);
    const counted = new Counted(await this.#db.rows(FIND_GUESSES, [keys, WINDOW_SECONDS]));
    return wanted.map((slots) => waitSeconds(slots, counted.agesOf));
  }

  async #take(wanted: (readonly Slot[])[]): Promise<(Taken | number)[]> {
    const keysOf = (slots: readonly Slot[]) => slots.map(({ key }) => key);
    return this.#db.transaction(async (tx) => {
      // Who meets another here waits, and then sees what the other took.
      const keys = wanted.flatMap(keysOf);
      const counted = new Counted(await tx.rows(LOCK_GUESSES, [keys, WINDOW_SECONDS]));
      const waits = wanted.map((slots) => {
        const wait = waitSeconds(slots, counted.agesOf);
        if (wait === 0) counted.add(slots);
        return wait;
      });
      const taken = wanted.flatMap((slots, index) =>
        waits[index] === 0 ? slots.map(({ key }) => ({ key, index })) : [],
      );
      if (taken.length === 0) return waits;
      const rows = await tx.lastRows<{ index: number; at: string }>(TAKE_GUESSES, [
        taken.map(({ key }) => key),
        taken.map(({ index }) => index),
        WINDOW_SECONDS,
      ]);
      const stamps = new Map(rows.map(({ index, at }) => [index, at]));
      return wanted.map((slots, index) => {
        const at = stamps.get(index);
        return at === undefined ? (waits[index] as number) : { keys: keysOf(slots), at };
      });
    });
  }

  async #giveBack(taken: Taken[]): Promise<undefined[]> {
    const held = taken.flatMap(({ keys, at }) => keys.map((key) => ({ key, at })));
    const values = [held.map(({ key }) => key), held.map(({ at }) => at)];
    await this.#db.rows(GIVE_BACK_GUESSES, values);
    return taken.map(() => undefined);
  }
}

/** How long ago guesses were, by what they were counted under. */
class Counted {
  readonly #ages: Map<string, number[]>;

  constructor(rows: GuessRow[]) {
    this.#ages = new Map(rows.map(({ key, ages }) => [key.toString("latin1"), ages]));
  }

  readonly agesOf = ({ key }: Slot): number[] => this.#ages.get(key.toString("latin1")) ?? [];

  /** A guess of this moment. */
  add(slots: readonly Slot[]): void {
    for (const slot of slots) this.agesOf(slot).push(0);
  }
}

const AGES = `array(select extract(epoch from clock_timestamp() - t)::float8
                      from unnest(g.failed_at) as t
                     where t > clock_timestamp() - make_interval(secs => $2)
                     order by t) as ages`;

const FIND_GUESSES = statement(
  "find_guesses",
  `select g.key, ${AGES} from password_guesses g where g.key = any($1::bytea[])`,
);

// In the order of the keys, so that two never wait for each other.
const LOCK_GUESSES = statement(
  "lock_guesses",
  `insert into password_guesses as g (key)
   select distinct key from unnest($1::bytea[]) as key order by key
       on conflict (key) do update set key = excluded.key
   returning g.key, ${AGES}`,
);

// The guesses of one batch have a microsecond each, so that each gives back its own.
const TAKE_GUESSES = statement(
  "take_guesses",
  `with moment as materialized (
     select clock_timestamp() as at
   ), taken as materialized (
     select key, index, moment.at + index * interval '1 microsecond' as at
       from moment, unnest($1::bytea[], $2::integer[]) as t (key, index)
   ), stamps as (
     select key, array_agg(at order by at) as all_at, max(at) as newest_at
       from taken
      group by key
   ), written as (
     update password_guesses g
        set failed_at = array(select t from unnest(g.failed_at) as t
                               where t > stamps.newest_at - make_interval(secs => $3)
                               order by t) || stamps.all_at,
            newest_at = stamps.newest_at
       from stamps
      where g.key = stamps.key
   )
   select distinct index, at::text from taken`,
);

// As many and no more: others may have come in the same microsecond.
const GIVE_BACK_GUESSES = statement(
  "give_back_guesses",
  `with given as materialized (
     select key, at, count(*) as times
       from unnest($1::bytea[], $2::timestamptz[]) as t (key, at)
      group by key, at
   ), held as (
     select key, failed_at
       from password_guesses
      where key in (select key from given)
      order by key
        for update
   )
   update password_guesses g
      set failed_at = array(
            select t
              from (select t, row_number() over (partition by t) as nth
                      from unnest(held.failed_at) as t) as counted
             where nth > coalesce((select times from given
                                    where given.key = held.key and given.at = counted.t), 0)
             order by t)
     from held
    where g.key = held.key`,
);

const DELETE_OLD_GUESSES = statement(
  "delete_old_guesses",
  `delete from password_guesses
    where key in (select key from password_guesses
                   where newest_at < now() - make_interval(secs => $1)
                   limit $2 for update skip locked)
   returning 1`,
);
