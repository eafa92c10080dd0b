/** Every SQL statement about guesses of passwords. */
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

  constructor(db: Database) {
    this.#db = db;
  }

  /** How many seconds until there is a free slot of each; 0 when there is now. */
  async findWait(slots: readonly Slot[]): Promise<number> {
    const keys = slots.map(({ key }) => key);
    const rows = await this.#db.rows<GuessRow>(FIND_GUESSES, [keys, WINDOW_SECONDS]);
    return waitSeconds(slots, agesIn(rows));
  }

  /** Takes a slot of each, or none of any: then it is how many seconds to wait. */
  take(slots: readonly Slot[]): Promise<Taken | number> {
    const keys = slots.map(({ key }) => key);
    return this.#db.transaction(async (tx) => {
      // Who meets another here waits, and then sees what the other took.
      const rows = await tx.rows<GuessRow>(LOCK_GUESSES, [keys, WINDOW_SECONDS]);
      const wait = waitSeconds(slots, agesIn(rows));
      if (wait > 0) return wait;
      const [taken] = await tx.rows<{ at: string }>(TAKE_GUESSES, [keys, WINDOW_SECONDS]);
      return { keys, at: (taken as { at: string }).at };
    });
  }

  /** Frees slots again: the password was right. */
  async giveBack({ keys, at }: Taken): Promise<void> {
    await this.#db.rows(GIVE_BACK_GUESSES, [keys, at]);
  }

  /** Deletes rows that say nothing any more; tells how many. */
  async deleteOld(limit: number): Promise<number> {
    return (await this.#db.rows(DELETE_OLD_GUESSES, [WINDOW_SECONDS, limit])).length;
  }
}

const agesIn = (rows: GuessRow[]) => (slot: Slot) =>
  rows.find(({ key }) => key.equals(slot.key))?.ages ?? [];

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
   select key from unnest($1::bytea[]) as key order by key
       on conflict (key) do update set key = excluded.key
   returning g.key, ${AGES}`,
);

const TAKE_GUESSES = statement(
  "take_guesses",
  `with moment as materialized (select clock_timestamp() as at)
   update password_guesses g
      set failed_at = array(select t from unnest(g.failed_at) as t
                             where t > moment.at - make_interval(secs => $2)
                             order by t) || moment.at,
          newest_at = moment.at
     from moment
    where g.key = any($1::bytea[])
   returning moment.at::text as at`,
);

// One element and no more, should two have come in the same microsecond.
const GIVE_BACK_GUESSES = statement(
  "give_back_guesses",
  `with held as (
     select key, array_position(failed_at, $2::timestamptz) as place
       from password_guesses
      where key = any($1::bytea[])
      order by key
        for update
   )
   update password_guesses g
      set failed_at = g.failed_at[:held.place - 1] || g.failed_at[held.place + 1:]
     from held
    where g.key = held.key and held.place is not null`,
);

const DELETE_OLD_GUESSES = statement(
  "delete_old_guesses",
  `delete from password_guesses
    where key in (select key from password_guesses
                   where newest_at < now() - make_interval(secs => $1)
                   limit $2 for update skip locked)
   returning 1`,
);
