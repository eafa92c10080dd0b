import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { Role } from "@piata/contracts/item";
import { Secret } from "@piata/kit/config";
import { Metrics } from "@piata/kit/metrics";
import { Database, statement } from "@piata/kit/pg";
import type { TestDatabase } from "@piata/testkit/database";
import { originOf } from "./origin.js";
import { type OpenSession, SessionStore } from "./session-store.js";
import { AccessStore } from "./store.js";
import { newRefreshToken } from "./tokens.js";
import { createDatabase, NOWHERE } from "./trial.js";

describe("the store", () => {
  let database: TestDatabase;
  let db: Database;
  let store: AccessStore;
  let sessions: SessionStore;

  before(async () => {
    database = await createDatabase();
    db = new Database(new Secret(database.url), { program: "store.test", connectionsMax: 20 });
    const metrics = new Metrics("test");
    store = new AccessStore(db, metrics);
    sessions = new SessionStore(db, metrics, {
      refreshTokenSeconds: 3_600,
      refreshGraceSeconds: 10,
    });
  });
  after(async () => {
    await db.close();
    await database.drop();
  });

  const rows = <Row>(sql: string, values: unknown[] = []) =>
    db.rows<Row>(statement("", sql), values);
  const newEmail = () => `${randomUUID()}@example.com`;

  const openSession = (userId: number, origin = NOWHERE, tokenHash = newRefreshToken().hash) =>
    sessions.openSession({ user: { userId, passwordHash: "a hash" }, tokenHash, origin });

  async function signedIn(): Promise<{ session: OpenSession; hash: Buffer; email: string }> {
    const email = newEmail();
    const { id } = await store.createUser(email, "a hash");
    const { hash } = newRefreshToken();
    return {
      session: (await openSession(id, NOWHERE, hash)) as OpenSession,
      hash,
      email,
    };
  }

  const spentAgo = (hash: Buffer, seconds: number) =>
    rows(
      `update refresh_tokens set spent_at = now() - make_interval(secs => $2)
        where token_hash = $1`,
      [hash, seconds],
    );

  it("gives an e-mail to exactly one of many who register it at once", async () => {
    const email = newEmail();
    const attempts = Array.from({ length: 20 }, () => store.createUser(email, "a hash"));
    const settled = await Promise.allSettled(attempts);
    const won = settled.filter(({ status }) => status === "fulfilled");
    const lost = settled.filter(({ status }) => status === "rejected") as PromiseRejectedResult[];
    assert.equal(won.length, 1);
    assert.ok(lost.every(({ reason }) => reason.reason === "EMAIL_TAKEN"));
  });

  it("uses up no id for an e-mail that is taken", async () => {
    const { email, session } = await signedIn();
    for (let tries = 0; tries < 5; tries += 1) {
      await assert.rejects(store.createUser(email, "a hash"), { reason: "EMAIL_TAKEN" });
    }
    assert.equal((await store.createUser(newEmail(), "a hash")).id, session.userId + 1);
  });

  it("gives two who refresh together new tokens each", async () => {
    const { session, hash } = await signedIn();
    const [one, other] = [newRefreshToken(), newRefreshToken()];
    const rotated = await Promise.all([
      sessions.rotate(hash, one.hash),
      sessions.rotate(hash, other.hash),
    ]);
    for (const each of rotated) assert.equal(each?.sessionId, session.sessionId);
    for (const { hash: next } of [one, other]) {
      assert.ok(await sessions.rotate(next, newRefreshToken().hash));
    }
  });

  it("without grace rotates a token exactly once, whoever comes at the same time", async () => {
    const strict = new SessionStore(db, new Metrics("test"), {
      refreshTokenSeconds: 3_600,
      refreshGraceSeconds: 0,
    });
    const { hash } = await signedIn();
    const attempts = Array.from({ length: 20 }, () => strict.rotate(hash, newRefreshToken().hash));
    const rotated = (await Promise.all(attempts)).filter((session) => session !== undefined);
    assert.equal(rotated.length, 1);
  });

  it("ends the session of a token that is played again after the grace, once", async () => {
    const { session, hash } = await signedIn();
    const next = newRefreshToken();
    await sessions.rotate(hash, next.hash);
    await spentAgo(hash, 11);
    assert.equal(await sessions.rotate(hash, newRefreshToken().hash), undefined);
    const judged = await Promise.all([1, 2, 3].map(() => sessions.judgeRefused(hash)));
    assert.deepEqual(judged.sort(), ["ENDED", "ENDED", "REPLAYED"]);
    assert.equal(await sessions.rotate(next.hash, newRefreshToken().hash), undefined);
    assert.equal(await sessions.judgeRefused(next.hash), "ENDED");
    assert.equal((await sessions.findOpen([session.sessionId])).size, 0);
  });

  it("ends the session when both go on that a token was given to within the grace", async () => {
    const { session, hash } = await signedIn();
    const [one, other, next] = [newRefreshToken(), newRefreshToken(), newRefreshToken()];
    for (const { hash: given } of [one, other]) assert.ok(await sessions.rotate(hash, given));
    await rows(
      `update refresh_tokens set issued_at = issued_at - interval '11 seconds'
        where session_id = $1`,
      [session.sessionId],
    );
    assert.ok(await sessions.rotate(one.hash, next.hash));
    await rows(
      `update refresh_tokens set spent_at = spent_at - interval '11 seconds'
        where session_id = $1`,
      [session.sessionId],
    );
    assert.equal(await sessions.rotate(other.hash, newRefreshToken().hash), undefined);
    assert.equal(await sessions.judgeRefused(other.hash), "REPLAYED");
    assert.equal(await sessions.rotate(next.hash, newRefreshToken().hash), undefined);
  });

  it("lets the tabs go on that got their tokens a moment ago", async () => {
    const { session, hash } = await signedIn();
    const tabs = [newRefreshToken(), newRefreshToken(), newRefreshToken()];
    for (const { hash: given } of tabs) assert.ok(await sessions.rotate(hash, given));
    for (const tab of tabs) assert.ok(await sessions.rotate(tab.hash, newRefreshToken().hash));
    assert.equal((await sessions.findOpen([session.sessionId])).size, 1);
  });

  it("tells an expired token from an unknown one, and ends no session for either", async () => {
    const { session, hash } = await signedIn();
    await rows("update refresh_tokens set expires_at = now() where token_hash = $1", [hash]);
    assert.equal(await sessions.rotate(hash, newRefreshToken().hash), undefined);
    assert.equal(await sessions.judgeRefused(hash), "EXPIRED");
    assert.equal(await sessions.judgeRefused(newRefreshToken().hash), "UNKNOWN");
    assert.equal((await sessions.findOpen([session.sessionId])).size, 1);
  });

  it("ends the session that was not used for the longest when a user opens too many", async () => {
    const { session: first } = await signedIn();
    const { session: bystander } = await signedIn();
    const home = originOf({ address: "192.0.2.1", userAgent: "" });
    const opened: OpenSession[] = [];
    for (let count = 0; count < 101; count += 1) {
      // Those that have ended say where the user is at home, and count, too.
      if (count === 50) await sessions.endSessions(opened[49]?.sessionId, undefined);
      if (count === 60) {
        await rows("update sessions set last_used_at = clock_timestamp() where id = $1", [
          first.sessionId,
        ]);
      }
      opened.push((await openSession(first.userId, home)) as OpenSession);
    }
    const ids = [first, bystander, ...opened].map(({ sessionId }) => sessionId);
    const open = await sessions.findOpen(ids);
    const ended = ids.filter((id) => !open.has(id));
    const oldest = opened.slice(0, 2).map(({ sessionId }) => sessionId);
    assert.deepEqual(ended.sort(), [...oldest, opened[49]?.sessionId ?? ""].sort());
  });

  it("reads the role anew at each refresh", async () => {
    const { session, hash, email } = await signedIn();
    assert.equal(session.role, "customer");
    assert.equal(await store.setRole(email, "staff"), true);
    assert.equal((await sessions.rotate(hash, newRefreshToken().hash))?.role, "staff");
    assert.equal(await store.setRole(newEmail(), "staff"), false);
  });

  it("never has a session survive its logout, however refreshes race with it", async () => {
    for (let round = 0; round < 20; round += 1) {
      const { session, hash } = await signedIn();
      const next = newRefreshToken();
      await Promise.all([
        sessions.rotate(hash, next.hash),
        sessions.endSessions(session.sessionId, undefined),
      ]);
      assert.equal(await sessions.rotate(next.hash, newRefreshToken().hash), undefined);
      assert.equal((await sessions.findOpen([session.sessionId])).size, 0);
    }
  });

  it("ends the session of either token, and only that", async () => {
    const [one, other, third] = [await signedIn(), await signedIn(), await signedIn()];
    await sessions.endSessions(one.session.sessionId, other.hash);
    await sessions.endSessions(one.session.sessionId, other.hash);
    await sessions.endSessions(randomUUID(), newRefreshToken().hash);
    const ids = [one, other, third].map(({ session }) => session.sessionId);
    assert.deepEqual([...(await sessions.findOpen(ids))], [third.session.sessionId]);
    const ended = new Set(await sessions.findEnded(60));
    assert.deepEqual(
      ids.map((id) => ended.has(id)),
      [true, true, false],
    );
  });

  it("tells only of ends within the time asked for", async () => {
    const { session, hash } = await signedIn();
    await sessions.endSessions(undefined, hash);
    await rows("update sessions set ended_at = now() - interval '30 seconds' where id = $1", [
      session.sessionId,
    ]);
    assert.ok((await sessions.findEnded(31)).includes(session.sessionId));
    assert.ok(!(await sessions.findEnded(29.5)).includes(session.sessionId));
  });

  it("leaves a tombstone of a deleted user, ends every session and plans the erasure", async () => {
    const { session, hash, email } = await signedIn();
    const { userId } = session;
    const second = await openSession(userId);
    const deleted = await Promise.all([1, 2, 3].map(() => store.deleteUser(userId)));
    assert.deepEqual(deleted.sort(), [false, false, true]);
    assert.equal(await store.findUser(userId), undefined);
    assert.equal(await store.findCredentials({ email, network: undefined }), undefined);
    assert.equal(await sessions.judgeRefused(hash), "ENDED");
    const ids = [session.sessionId, second?.sessionId as string];
    assert.equal((await sessions.findOpen(ids)).size, 0);
    const kept = await rows("select email, password_hash, role from users where id = $1", [userId]);
    assert.deepEqual(kept, [{ email: null, password_hash: null, role: "customer" }]);
    const planned = await rows("select tries from erasures where user_id = $1", [userId]);
    assert.deepEqual(planned, [{ tries: 0 }]);
    assert.notEqual((await store.createUser(email, "a hash")).id, userId);
  });

  it("opens no session that outlives its user, however sign-ins race with that", async () => {
    for (let round = 0; round < 20; round += 1) {
      const { id } = await store.createUser(newEmail(), "a hash");
      const [opened] = await Promise.all([openSession(id), store.deleteUser(id)]);
      const open = await rows("select id from sessions where user_id = $1 and ended_at is null", [
        id,
      ]);
      assert.deepEqual(open, []);
      if (opened) assert.equal((await sessions.findOpen([opened.sessionId])).size, 0);
    }
  });

  it("makes a known user of no unknown one", async () => {
    assert.equal(await store.findUser(2 ** 31 - 1), undefined);
    assert.equal(await store.deleteUser(2 ** 31 - 1), false);
    assert.equal(await openSession(2 ** 31 - 1), undefined);
    const user = await store.createUser(newEmail(), "a hash");
    assert.deepEqual(await store.findUser(user.id), user);
    assert.equal(user.role, Role.CUSTOMER);
  });

  it("hands a due erasure to one claimer, later after each failed try", async () => {
    const { session } = await signedIn();
    const { userId } = session;
    const mine = async () => (await store.claimErasures(1_000)).filter((id) => id === userId);
    const due = () => rows("update erasures set next_try_at = now() where user_id = $1", [userId]);
    const pauses: number[] = [];

    await store.deleteUser(userId);
    assert.deepEqual(await mine(), [], "the one who deleted has the lease");
    for (let tries = 0; tries < 12; tries += 1) {
      await due();
      const claimed = await Promise.all([mine(), mine(), mine()]);
      assert.deepEqual(claimed.flat(), [userId]);
      await store.postponeErasure(userId);
      const [{ seconds } = { seconds: 0 }] = await rows<{ seconds: number }>(
        `select extract(epoch from next_try_at - now())::float as seconds
           from erasures where user_id = $1`,
        [userId],
      );
      pauses.push(Math.round(seconds * 2) / 2);
    }
    assert.deepEqual(pauses, [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 256, 256]);
    await store.finishErasure(userId);
    await due();
    assert.deepEqual(await mine(), []);
  });

  it("deletes what expired a day ago, in slices, and nothing else", async () => {
    const old = await Promise.all(Array.from({ length: 5 }, signedIn));
    const young = await signedIn();
    const ids = old.map(({ session }) => session.sessionId);
    for (const table of ["sessions", "refresh_tokens"]) {
      const id = table === "sessions" ? "id" : "session_id";
      await rows(
        `update ${table} set expires_at = now() - interval '25 hours' where ${id} = any($1)`,
        [ids],
      );
    }
    // A session in use has spent tokens that are old.
    await sessions.rotate(young.hash, newRefreshToken().hash);
    await rows(
      "update refresh_tokens set expires_at = now() - interval '2 days' where token_hash = $1",
      [young.hash],
    );
    const deleted = [];
    do deleted.push(await sessions.deleteExpired(2));
    while (deleted.at(-1) === 2);
    assert.equal(await sessions.deleteExpired(2), 0);
    const left = await rows("select id from sessions where id = any($1)", [ids]);
    const tokens = await rows("select from refresh_tokens where session_id = any($1)", [ids]);
    assert.deepEqual([left, tokens], [[], []]);
    assert.equal((await sessions.findOpen([young.session.sessionId])).size, 1);
    assert.equal(await sessions.judgeRefused(young.hash), "UNKNOWN");
  });
});
