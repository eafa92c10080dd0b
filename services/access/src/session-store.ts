/** Every SQL statement about sessions and refresh tokens, but for how all of a user's end. */
import { coalesce } from "@piata/kit/coalesce";
import type { Metrics } from "@piata/kit/metrics";
import { type Database, statement } from "@piata/kit/pg";
import type { Origin } from "./origin.js";
import type { Credentials } from "./store.js";
import type { Claims } from "./tokens.js";

export interface SessionStoreOptions {
  refreshTokenSeconds: number;
  /** How long a spent refresh token still gets new ones. */
  refreshGraceSeconds: number;
}

/** Who starts a session, from where, and the refresh token that they are given. */
export interface SignIn {
  user: Pick<Credentials, "userId" | "passwordHash">;
  tokenHash: Buffer;
  origin: Origin;
}

/** A session that has just been given a new refresh token. */
export interface OpenSession extends Claims {
  refreshExpiresAt: Date;
}

/** Why a refresh token got nothing; REPLAYED has ended its session just now. */
export type Refusal = "UNKNOWN" | "EXPIRED" | "ENDED" | "REPLAYED";

/** What a user is shown of one of their sessions. */
export interface ShownSession {
  id: string;
  createdAt: Date;
  lastUsedAt: Date;
  expiresAt: Date;
  address: string | null;
  userAgent: string | null;
}

/**
 * Sessions of a user that are open, or ended and still say where the user is at home. Another
 * password ends and erases them all in one commit: who signs in without end must not make that
 * too large to be done.
 */
const SESSIONS_MAX = 100;

/** Sessions and refresh tokens, in PostgreSQL. */
export class SessionStore {
  readonly #db: Database;
  readonly #options: SessionStoreOptions;

  /**
   * Starts a session with its first refresh token; of too many the one ends that was not used for
   * the longest. Undefined when the user is deleted or no longer has that password.
   */
  readonly openSession: (signIn: SignIn) => Promise<OpenSession | undefined>;

  constructor(db: Database, metrics: Metrics, options: SessionStoreOptions) {
    this.#db = db;
    this.#options = options;
    this.openSession = coalesce({
      ...metrics.batches("access.open_session"),
      send: (signIns: SignIn[]) => this.#openSessions(signIns),
    });
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

  /** The open sessions of a user, the newest first. */
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

  /** Deletes tokens and sessions that expired a day ago; tells the larger count of the two. */
  async deleteExpired(limit: number): Promise<number> {
    const [deleted] = await this.#db.rows<{ count: number }>(DELETE_EXPIRED, [limit]);
    return deleted?.count ?? 0;
  }

  async #openSessions(signIns: SignIn[]): Promise<(OpenSession | undefined)[]> {
    const rows = await this.#db.rows<OpenSession & { place: number }>(OPEN_SESSIONS, [
      signIns.map(({ user }) => user.userId),
      signIns.map(({ user }) => user.passwordHash),
      signIns.map(({ tokenHash }) => tokenHash),
      signIns.map(({ origin }) => origin.address),
      signIns.map(({ origin }) => origin.network),
      signIns.map(({ origin }) => origin.userAgent),
      this.#options.refreshTokenSeconds,
      SESSIONS_MAX,
    ]);
    const opened = new Map(rows.map(({ place, ...session }) => [place, session]));
    return signIns.map((_, index) => opened.get(index + 1));
  }
}

const OPEN_SESSIONS = statement(
  "open_sessions",
  `with asked as (
     select *
       from unnest($1::integer[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::text[])
            with ordinality
            as asked (user_id, password_hash, token_hash, address, network, user_agent, place)
   ), alive as materialized (
     select asked.*, gen_random_uuid() as session_id, u.role
       from asked join users u on u.id = asked.user_id and u.password_hash = asked.password_hash
      order by u.id
        for share of u
   ), opened as (
     insert into sessions (id, user_id, expires_at, address, network, user_agent)
     select session_id, user_id, now() + make_interval(secs => $7), address, network, user_agent
       from alive
     returning id, expires_at
   ), issued as (
     insert into refresh_tokens (token_hash, session_id, expires_at)
     select alive.token_hash, opened.id, opened.expires_at
       from opened join alive on alive.session_id = opened.id
   ), crowded as (
     select id
       from (select id, user_id,
                    row_number() over (partition by user_id order by last_used_at desc, id) as nth
               from sessions
              where user_id in (select user_id from alive)
                and (ended_at is null or network is not null)) as ranked
      where nth > $8 - (select count(*) from alive where alive.user_id = ranked.user_id)
   ), crowded_out as (
     update sessions
        set ended_at = coalesce(ended_at, clock_timestamp()),
            address = null, network = null, user_agent = null
      where id in (select id from sessions where id in (select id from crowded)
                      for update skip locked)
   )
   select alive.place::integer, alive.session_id as "sessionId", alive.user_id as "userId",
          alive.role, opened.expires_at as "refreshExpiresAt"
     from opened join alive on alive.session_id = opened.id`,
);

// Two that play one token at once meet at its row: the second sees it spent, by how long. A session
// that is being ended meanwhile is met at its own row, and gets nothing more. What the grace has
// given out twice does not live on twice: who goes on with one spends the other, and is found out
// when that is played. Those of the last moment are left alone: another tab is about to have them.
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
   ), rivals as (
     update refresh_tokens
        set spent_at = clock_timestamp()
      where token_hash in (select t.token_hash
                             from refresh_tokens t join extended on extended.id = t.session_id
                            where t.token_hash <> $1 and t.spent_at is null
                              and t.issued_at < now() - make_interval(secs => $4)
                              for update of t skip locked)
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
    limit ${SESSIONS_MAX}`,
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
