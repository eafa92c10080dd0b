/** Every SQL statement of the access service. */
import type { User } from "@piata/contracts/user";
import { alreadyExists } from "@piata/kit/errors";
import { type Database, statement, violates } from "@piata/kit/pg";
import type { Origin } from "./origin.js";
import { type Claims, type RoleName, roleOf } from "./tokens.js";

export interface StoreOptions {
  refreshTokenSeconds: number;
  /** How long a spent refresh token still gets new ones. */
  refreshGraceSeconds: number;
}

/** A session that has just been given a new refresh token. */
export interface OpenSession extends Claims {
  refreshExpiresAt: Date;
}

/** Why a refresh token got nothing; REPLAYED has ended its session just now. */
export type Refusal = "UNKNOWN" | "EXPIRED" | "ENDED" | "REPLAYED";

/** What a password is checked with. */
export interface Credentials {
  userId: number;
  email: string;
  passwordHash: string;
  /** Whether the user has signed in from the network that was asked about. */
  isKnown: boolean;
}

/** What a user is shown of one of their sessions. */
export interface ShownSession {
  id: string;
  createdAt: Date;
  lastUsedAt: Date;
  expiresAt: Date;
  address: string | null;
  userAgent: string | null;
}

type UserRow = Omit<User, "role"> & { role: RoleName };

/** Users, sessions and refresh tokens, in PostgreSQL. */
export class AccessStore {
  readonly #db: Database;
  readonly #options: StoreOptions;

  constructor(db: Database, options: StoreOptions) {
    this.#db = db;
    this.#options = options;
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

  /** Asks also for nobody: that takes as long. */
  async findCredentials(
    email: string | undefined,
    network: string | undefined,
  ): Promise<Credentials | undefined> {
    const [found] = await this.#db.rows<Credentials>(FIND_CREDENTIALS, [email, network]);
    return found;
  }

  async findCredentialsOf(
    userId: number,
    network: string | undefined,
  ): Promise<Credentials | undefined> {
    const [found] = await this.#db.rows<Credentials>(FIND_CREDENTIALS_OF, [userId, network]);
    return found;
  }

  /**
   * Writes another password for the one that was checked, and ends every session but one. False
   * when the password is another by now, or the user is deleted.
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
      await tx.rows(END_OTHER_SESSIONS, [userId, sessionId]);
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

  /**
   * Starts a session with its first refresh token. Undefined when the user is deleted or no longer
   * has that password.
   */
  async openSession(
    { userId, passwordHash }: Pick<Credentials, "userId" | "passwordHash">,
    tokenHash: Buffer,
    { address, network, userAgent }: Origin,
  ): Promise<OpenSession | undefined> {
    const { refreshTokenSeconds } = this.#options;
    const [opened] = await this.#db.rows<OpenSession>(OPEN_SESSION, [
      userId,
      passwordHash,
      tokenHash,
      refreshTokenSeconds,
      address,
      network,
      userAgent,
    ]);
    return opened;
  }

  /** Spends a refresh token for a new one. Undefined when it is not good for that. */
  async rotate(spentHash: Buffer, newHash: Buffer): Promise<OpenSession | undefined> {
    const { refreshTokenSeconds, refreshGraceSeconds } = this.#options;
    const values = [spentHash, newHash, refreshTokenSeconds, refreshGraceSeconds];
    const [rotated] = await this.#db.rows<OpenSession>(ROTATE, values);
    return rotated;
  }

  /** Says why `rotate` refused a token; one that was spent long ago ends its session. */
  async judgeRefused(tokenHash: Buffer): Promise<Refusal> {
    const values = [tokenHash, this.#options.refreshGraceSeconds];
    const [judged] = await this.#db.rows<{ refusal: Refusal }>(JUDGE_REFUSED, values);
    return judged?.refusal ?? "UNKNOWN";
  }

  /** Ends a session by its id, and the one of a refresh token. */
  async endSessions(sessionId: string | undefined, tokenHash: Buffer | undefined): Promise<void> {
    await this.#db.rows(END_SESSIONS, [sessionId, tokenHash]);
  }

  /** The open sessions of a user, the newest first, at most 100. */
  async listOpen(userId: number): Promise<ShownSession[]> {
    return this.#db.rows<ShownSession>(LIST_OPEN, [userId]);
  }

  /** Ends an open session of a user. False when they have no such one. */
  async revoke(userId: number, sessionId: string): Promise<boolean> {
    return (await this.#db.rows(REVOKE_SESSION, [userId, sessionId])).length === 1;
  }

  /** Which of these sessions have not ended. */
  async findOpen(sessionIds: string[]): Promise<Set<string>> {
    const rows = await this.#db.rows<{ id: string }>(FIND_OPEN, [sessionIds]);
    return new Set(rows.map(({ id }) => id));
  }

  /** The sessions that ended within the last seconds. */
  async findEnded(seconds: number): Promise<string[]> {
    const rows = await this.#db.rows<{ id: string }>(FIND_ENDED, [seconds]);
    return rows.map(({ id }) => id);
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

  /** Deletes tokens and sessions that expired a day ago; tells the larger count of the two. */
  async deleteExpired(limit: number): Promise<number> {
    const [deleted] = await this.#db.rows<{ count: number }>(DELETE_EXPIRED, [limit]);
    return deleted?.count ?? 0;
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
const CREDENTIALS = `select u.id as "userId", u.email, u.password_hash as "passwordHash",
          exists (select from sessions s
                   where s.user_id = u.id and s.network = $2 and s.expires_at > now()) as "isKnown"
     from users u`;

const FIND_CREDENTIALS = statement("find_credentials", `${CREDENTIALS} where u.email = $1`);

const FIND_CREDENTIALS_OF = statement(
  "find_credentials_of",
  `${CREDENTIALS} where u.id = $1 and u.deleted_at is null`,
);

const CHANGE_PASSWORD = statement(
  "change_password",
  `update users set password_hash = $3 where id = $1 and password_hash = $2 returning id`,
);

// Who has one of them may be a thief, whose place is not to be known as the user's.
const END_OTHER_SESSIONS = statement(
  "end_other_sessions",
  `update sessions
      set ended_at = coalesce(ended_at, clock_timestamp()),
          address = null, network = null, user_agent = null
    where user_id = $1 and id::text <> $2`,
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
    where user_id = $1`,
);

const PLAN_ERASURE = statement(
  "plan_erasure",
  `insert into erasures (user_id, next_try_at) values ($1, now() + interval '10 seconds')`,
);

const OPEN_SESSION = statement(
  "open_session",
  `with alive as (
     select id, role from users where id = $1 and password_hash = $2 for share
   ), opened as (
     insert into sessions (user_id, expires_at, address, network, user_agent)
     select id, now() + make_interval(secs => $4), $5, $6, $7 from alive
     returning id, user_id, expires_at
   ), issued as (
     insert into refresh_tokens (token_hash, session_id, expires_at)
     select $3, id, expires_at from opened
   )
   select opened.id as "sessionId", opened.user_id as "userId", alive.role,
          opened.expires_at as "refreshExpiresAt"
     from opened join alive on alive.id = opened.user_id`,
);

// Two that play one token at once meet at its row: the second sees it spent, by how long. A session
// that is being ended meanwhile is met at its own row, and gets nothing more.
const ROTATE = statement(
  "rotate",
  `with spent as (
     update refresh_tokens t
        set spent_at = coalesce(t.spent_at, clock_timestamp())
       from sessions s join users u on u.id = s.user_id
      where t.token_hash = $1 and t.expires_at > now()
        and (t.spent_at is null
             or t.spent_at > clock_timestamp() - make_interval(secs => $4))
        and s.id = t.session_id and s.ended_at is null and u.deleted_at is null
     returning t.session_id, u.role
   ), extended as (
     update sessions s
        set expires_at = now() + make_interval(secs => $3), last_used_at = now()
       from spent
      where s.id = spent.session_id and s.ended_at is null
     returning s.id, s.user_id, spent.role, s.expires_at
   ), issued as (
     insert into refresh_tokens (token_hash, session_id, expires_at)
     select $2, id, expires_at from extended
   )
   select id as "sessionId", user_id as "userId", role, expires_at as "refreshExpiresAt"
     from extended`,
);

const JUDGE_REFUSED = statement(
  "judge_refused",
  `with token as (
     select t.session_id,
            t.expires_at <= now() as expired,
            s.ended_at is not null or u.deleted_at is not null as ended,
            coalesce(t.spent_at <= clock_timestamp() - make_interval(secs => $2), false) as replayed
       from refresh_tokens t
       join sessions s on s.id = t.session_id
       join users u on u.id = s.user_id
      where t.token_hash = $1
   ), stolen as (
     update sessions s
        set ended_at = clock_timestamp()
       from token
      where s.id = token.session_id and s.ended_at is null and token.replayed and not token.expired
     returning s.id
   )
   select case when exists (select from stolen) then 'REPLAYED'
               when expired and not ended then 'EXPIRED'
               else 'ENDED' end as refusal
     from token`,
);

const END_SESSIONS = statement(
  "end_sessions",
  `update sessions
      set ended_at = clock_timestamp()
    where ended_at is null
      and id in ($1::uuid, (select session_id from refresh_tokens where token_hash = $2::bytea))`,
);

const LIST_OPEN = statement(
  "list_open",
  `select id, created_at as "createdAt", last_used_at as "lastUsedAt", expires_at as "expiresAt",
          address, user_agent as "userAgent"
     from sessions
    where user_id = $1 and ended_at is null and expires_at > now()
    order by created_at desc, id
    limit 100`,
);

const REVOKE_SESSION = statement(
  "revoke_session",
  `update sessions
      set ended_at = clock_timestamp(), address = null, network = null, user_agent = null
    where id = $2 and user_id = $1 and ended_at is null and expires_at > now()
   returning id`,
);

const FIND_OPEN = statement(
  "find_open",
  `select s.id
     from sessions s join users u on u.id = s.user_id
    where s.id = any($1::uuid[]) and s.ended_at is null and u.deleted_at is null`,
);

const FIND_ENDED = statement(
  "find_ended",
  `select id from sessions where ended_at > now() - make_interval(secs => $1)`,
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

const DELETE_EXPIRED = statement(
  "delete_expired",
  `with old_tokens as (
     delete from refresh_tokens
      where token_hash in (select token_hash from refresh_tokens
                            where expires_at < now() - interval '1 day'
                            limit $1 for update skip locked)
     returning 1
   ), old_sessions as (
     delete from sessions
      where id in (select id from sessions
                    where expires_at < now() - interval '1 day'
                    limit $1 for update skip locked)
     returning 1
   )
   select greatest((select count(*) from old_tokens),
                   (select count(*) from old_sessions)) as count`,
);
