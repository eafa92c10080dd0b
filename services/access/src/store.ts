/** Every SQL statement about users, and about what ends with them. */
import type { User } from "@piata/contracts/user";
import { coalesce } from "@piata/kit/coalesce";
import { alreadyExists } from "@piata/kit/errors";
import type { Metrics } from "@piata/kit/metrics";
import { type Database, statement, violates } from "@piata/kit/pg";
import { type RoleName, roleOf } from "./tokens.js";

/** Whose password is to be checked, and from where they ask. */
interface Asker {
  email: string | undefined;
  network: string | undefined;
}

/** What a password is checked with. */
export interface Credentials {
  userId: number;
  email: string;
  passwordHash: string;
  /** Whether the user has signed in from the network that was asked about. */
  isKnown: boolean;
}

type UserRow = Omit<User, "role"> & { role: RoleName };

/** Users, in PostgreSQL. */
export class AccessStore {
  readonly #db: Database;

  /** Asks also for nobody: that takes as long. */
  readonly findCredentials: (asker: Asker) => Promise<Credentials | undefined>;

  constructor(db: Database, metrics: Metrics) {
    this.#db = db;
    this.findCredentials = coalesce({
      ...metrics.batches("access.find_credentials"),
      send: (askers: Asker[]) => this.#findCredentials(askers),
    });
  }

  /** Throws ALREADY_EXISTS / EMAIL_TAKEN. */
  async createUser(email: string, passwordHash: string): Promise<User> {
    const [created] = await this.#db
      .rows<UserRow>(CREATE_USER, [email, passwordHash])
      .catch((error) => {
        if (!violates(error, "users_email_taken")) throw error;
        return [];
      });
    if (!created) {
      throw alreadyExists("EMAIL_TAKEN", "There is a user with that e-mail already.", {
        field: "email",
      });
    }
    return toUser(created);
  }

  async findUser(userId: number): Promise<User | undefined> {
    const [found] = await this.#db.rows<UserRow>(FIND_USER, [userId]);
    return found && toUser(found);
  }

  async findCredentialsOf(
    userId: number,
    network: string | undefined,
  ): Promise<Credentials | undefined> {
    const [found] = await this.#db.rows<Credentials>(FIND_CREDENTIALS_OF, [userId, network]);
    return found;
  }

  /**
   * Writes another password for the one that was checked, and ends every session; only the place
   * of the one in which it was changed stays known. False when the password is another by now, or
   * the user is deleted.
   */
  async changePassword(
    { userId, passwordHash }: Credentials,
    nextHash: string,
    sessionId: string,
  ): Promise<boolean> {
    return this.#db.transaction(async (tx) => {
      // The user's row first, as in deleteUser: a sign-in with the old password that is under way
      // has its session by now, or gets none.
      const changed = await tx.rows(CHANGE_PASSWORD, [userId, passwordHash, nextHash]);
      if (changed.length === 0) return false;
      await tx.rows(END_SESSIONS_OF_OLD_PASSWORD, [userId, sessionId]);
      return true;
    });
  }

  /** False when nobody has that e-mail. */
  async setRole(email: string, role: RoleName): Promise<boolean> {
    return (await this.#db.rows(SET_ROLE, [email, role])).length === 1;
  }

  /**
   * Erases who the user was, ends all sessions, and writes down that the cart must be erased; the
   * caller has the lease on that. False when there is no such user any more.
   */
  async deleteUser(userId: number): Promise<boolean> {
    return this.#db.transaction(async (tx) => {
      // The user's row first: who opens a session locks it too, so that none is opened behind our
      // back.
      if ((await tx.rows(BURY_USER, [userId])).length === 0) return false;
      await tx.rows(END_ALL_SESSIONS, [userId]);
      await tx.rows(PLAN_ERASURE, [userId]);
      return true;
    });
  }

  /** Takes erasures that are due, under a lease. */
  async claimErasures(limit: number): Promise<number[]> {
    const rows = await this.#db.rows<{ userId: number }>(CLAIM_ERASURES, [limit]);
    return rows.map(({ userId }) => userId);
  }

  /** Has an erasure tried again later, each time later still. */
  async postponeErasure(userId: number): Promise<void> {
    await this.#db.rows(POSTPONE_ERASURE, [userId]);
  }

  async finishErasure(userId: number): Promise<void> {
    await this.#db.rows(FINISH_ERASURE, [userId]);
  }

  async #findCredentials(askers: Asker[]): Promise<(Credentials | undefined)[]> {
    const rows = await this.#db.rows<Credentials & { place: number }>(FIND_CREDENTIALS, [
      askers.map(({ email }) => email),
      askers.map(({ network }) => network),
    ]);
    const found = new Map(rows.map(({ place, ...credentials }) => [place, credentials]));
    return askers.map((_, index) => found.get(index + 1));
  }
}

const toUser = (row: UserRow): User => ({ ...row, role: roleOf(row.role) });

// The unique key decides who gets an e-mail; the condition only keeps refusals from using up ids.
const CREATE_USER = statement(
  "create_user",
  `insert into users (email, password_hash)
   select $1::text, $2 where not exists (select from users where email = $1)
   returning id, email, role, created_at as "createdAt"`,
);

const FIND_USER = statement(
  "find_user",
  `select id, email, role, created_at as "createdAt"
     from users
    where id = $1 and deleted_at is null`,
);

// Also a session that its user has ended by signing out says where they are at home.
const credentialsFrom = (network: string) => `
          u.id as "userId", u.email, u.password_hash as "passwordHash",
          exists (select from sessions s
                   where s.user_id = u.id and s.network = ${network}
                     and s.expires_at > now()) as "isKnown"`;

const FIND_CREDENTIALS = statement(
  "find_credentials",
  `select asker.place::integer, ${credentialsFrom("asker.network")}
     from unnest($1::text[], $2::text[]) with ordinality as asker (email, network, place)
     join users u using (email)`,
);

const FIND_CREDENTIALS_OF = statement(
  "find_credentials_of",
  `select ${credentialsFrom("$2")} from users u where u.id = $1 and u.deleted_at is null`,
);

const CHANGE_PASSWORD = statement(
  "change_password",
  `update users set password_hash = $3 where id = $1 and password_hash = $2 returning id`,
);

// Who has another of them may be a thief, whose place is not to be known as the user's. Who has this
// one knows the password, and signs in again from there, also while strangers guess.
const END_SESSIONS_OF_OLD_PASSWORD = statement(
  "end_sessions_of_old_password",
  `update sessions
      set ended_at = coalesce(ended_at, clock_timestamp()),
          address = case when id::text = $2 then address end,
          network = case when id::text = $2 then network end,
          user_agent = case when id::text = $2 then user_agent end
    where user_id = $1
      and (ended_at is null
           or id::text <> $2 and (network is not null or user_agent is not null))`,
);

const SET_ROLE = statement("set_role", `update users set role = $2 where email = $1 returning id`);

const BURY_USER = statement(
  "bury_user",
  `update users set email = null, password_hash = null, deleted_at = now()
    where id = $1 and deleted_at is null
   returning id`,
);

const END_ALL_SESSIONS = statement(
  "end_all_sessions",
  `update sessions
      set ended_at = coalesce(ended_at, clock_timestamp()),
          address = null, network = null, user_agent = null
    where user_id = $1
      and (ended_at is null or network is not null or user_agent is not null)`,
);

const PLAN_ERASURE = statement(
  "plan_erasure",
  `insert into erasures (user_id, next_try_at) values ($1, now() + interval '10 seconds')`,
);

const CLAIM_ERASURES = statement(
  "claim_erasures",
  `with due as (
     select user_id from erasures
      where next_try_at <= now()
      order by next_try_at
      limit $1
        for update skip locked
   )
   update erasures e
      set next_try_at = now() + interval '10 seconds'
     from due
    where e.user_id = due.user_id
   returning e.user_id as "userId"`,
);

// Half a second, then twice as long each time, up to about four minutes.
const POSTPONE_ERASURE = statement(
  "postpone_erasure",
  `update erasures
      set tries = tries + 1,
          next_try_at = now() + interval '500 milliseconds' * power(2, least(tries, 9))
    where user_id = $1`,
);

const FINISH_ERASURE = statement("finish_erasure", `delete from erasures where user_id = $1`);
