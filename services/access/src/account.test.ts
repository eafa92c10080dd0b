import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import type { Tokens, WatchRevocationsResponse } from "@piata/contracts/access";
import type { Context } from "@piata/kit/context";
import { fromStatus } from "@piata/kit/errors";
import { as } from "@piata/testkit/identity";
import { type Instance, newAccount, PASSWORD, Trial, within } from "./trial.js";

const NEW_PASSWORD = "another battery";

describe("an account", () => {
  let trial: Trial;
  let one: Instance;
  let other: Instance;

  before(async () => {
    trial = await Trial.open();
    [one, other] = await Promise.all([trial.start(), trial.start()]);
  });
  after(() => trial.close());

  const login = (email: string, password = PASSWORD, address = "192.0.2.7", userAgent = "test") =>
    one.access.login({ email, password, client: { address, userAgent } }, within());
  const change = (context: Context, currentPassword: string, newPassword: string) =>
    one.user.changePassword({ currentPassword, newPassword, address: "192.0.2.7" }, context);
  const refresh = (refreshToken = "") => one.access.refresh({ refreshToken }, within());

  async function authenticate(accessToken = "", at = one) {
    const { results } = await at.access.batchAuthenticate({ items: [{ accessToken }] }, within());
    return results[0];
  }

  async function reasonOf(accessToken = "", at = one): Promise<string> {
    const { failure } = (await authenticate(accessToken, at)) ?? {};
    return failure ? fromStatus(failure).reason : "GOOD";
  }

  /** As the gateway asks for whom a token speaks. */
  async function asBearer(tokens: Tokens | undefined): Promise<Context> {
    const { identity } = (await authenticate(tokens?.accessToken)) ?? {};
    return { ...within(), passport: identity?.passport ?? "" };
  }

  const sessionsOf = async (tokens: Tokens | undefined) =>
    (await one.access.listSessions({}, await asBearer(tokens))).sessions;

  it("gets another password, and every other session ends everywhere within a second", async () => {
    const { email, tokens: mine } = await newAccount(one);
    const { tokens: theirs } = await login(email);
    const stream = other.access.watchRevocations({})[Symbol.asyncIterator]();
    await stream.next();
    const [mySession, theirSession] = await Promise.all(
      [mine, theirs].map(async (tokens) => {
        const { identity } = (await authenticate(tokens?.accessToken)) ?? {};
        return identity?.sessionId ?? "";
      }),
    );

    const context = await asBearer(mine);
    const startedMs = performance.now();
    await change(context, PASSWORD, NEW_PASSWORD);
    const told = await heard(stream, theirSession as string);
    const tookMs = performance.now() - startedMs;
    console.log(`the other sessions were known to have ended after ${Math.round(tookMs)} ms`);
    assert.ok(tookMs < 1_000);
    assert.ok(!told.includes(mySession as string));

    for (const at of [one, other]) {
      assert.equal(await reasonOf(theirs?.accessToken, at), "SESSION_ENDED");
      assert.equal(await reasonOf(mine.accessToken, at), "GOOD");
    }
    await assert.rejects(refresh(theirs?.refreshToken), { reason: "SESSION_ENDED" });
    await refresh(mine.refreshToken);
    await assert.rejects(login(email), { reason: "WRONG_CREDENTIALS" });
    await login(email, NEW_PASSWORD);
  });

  it("keeps its password when the current one is wrong or the new one is no good", async () => {
    const { email, tokens } = await newAccount(one);
    const context = await asBearer(tokens);
    const refusals: [string, string, string, string][] = [
      ["incorrect horse", NEW_PASSWORD, "PASSWORD_WRONG", "currentPassword"],
      ["x".repeat(10_000), NEW_PASSWORD, "PASSWORD_WRONG", "currentPassword"],
      ["", NEW_PASSWORD, "PASSWORD_WRONG", "currentPassword"],
      [PASSWORD, "short", "PASSWORD_WEAK", "newPassword"],
      [PASSWORD, email, "PASSWORD_WEAK", "newPassword"],
      [PASSWORD, "y".repeat(10_000), "PASSWORD_TOO_LONG", "newPassword"],
    ];
    for (const [current, next, reason, field] of refusals) {
      await assert.rejects(change(context, current, next), {
        code: "INVALID_ARGUMENT",
        reason,
        metadata: { field },
      });
    }
    await login(email);
    const unknown = { ...as(2 ** 31 - 1), currentPassword: PASSWORD, newPassword: NEW_PASSWORD };
    await assert.rejects(one.user.changePassword({ ...unknown, address: "" }, within()), {
      reason: "USER_NOT_FOUND",
    });
    await assert.rejects(change(within(), PASSWORD, NEW_PASSWORD), { reason: "SIGN_IN_REQUIRED" });
  });

  it("leaves no session of the old password, however sign-ins race with the change", async () => {
    for (let round = 0; round < 5; round += 1) {
      const { email, tokens } = await newAccount(one);
      const context = await asBearer(tokens);
      const [, ...signedIn] = await Promise.allSettled([
        change(context, PASSWORD, NEW_PASSWORD),
        ...[one, other, one, other].map(({ access }) =>
          access.login({ email, password: PASSWORD }, within()),
        ),
      ]);
      for (const each of signedIn) {
        if (each.status === "rejected") assert.equal(each.reason.reason, "WRONG_CREDENTIALS");
        else assert.equal(await reasonOf(each.value.tokens?.accessToken), "SESSION_ENDED");
      }
      assert.equal((await sessionsOf(tokens)).length, 1);
    }
  });

  it("gets one of two new passwords that come at once", async () => {
    const { email, tokens } = await newAccount(one);
    const context = await asBearer(tokens);
    const settled = await Promise.allSettled([
      change(context, PASSWORD, "another battery 1"),
      other.user.changePassword(
        { currentPassword: PASSWORD, newPassword: "another battery 2", address: "" },
        context,
      ),
    ]);
    const lost = settled.filter(({ status }) => status === "rejected") as PromiseRejectedResult[];
    assert.deepEqual(
      lost.map(({ reason }) => reason.reason),
      ["PASSWORD_WRONG"],
    );
    const won = settled[0]?.status === "fulfilled" ? 1 : 2;
    await login(email, `another battery ${won}`);
  });

  it("shows where it is signed in, the newest first, and when each was last used", async () => {
    const { email, tokens: first } = await newAccount(one);
    const { tokens: second } = await login(email, PASSWORD, "2001:db8::7", "Browser\u0000 2");
    const [newest, oldest, ...more] = await sessionsOf(first);
    assert.deepEqual(more, []);
    assert.deepEqual(newest?.client, { address: "2001:db8::7", userAgent: "Browser 2" });
    assert.deepEqual(oldest?.client, { address: "", userAgent: "" });
    assert.deepEqual([newest?.current, oldest?.current], [false, true]);
    assert.deepEqual(newest?.expiresAt, second?.refreshExpiresAt);
    assert.deepEqual(newest?.lastUsedAt, newest?.createdAt);

    await refresh(second?.refreshToken);
    const [used] = await sessionsOf(second);
    assert.deepEqual([used?.id, used?.current], [newest?.id, true]);
    assert.ok((used?.lastUsedAt?.getTime() ?? 0) > (newest?.lastUsedAt?.getTime() ?? 0));
    assert.deepEqual(used?.createdAt, newest?.createdAt);
    await assert.rejects(one.access.listSessions({}, within()), { reason: "SIGN_IN_REQUIRED" });
  });

  it("shows neither sessions that have ended nor anybody else's", async () => {
    const { email, tokens } = await newAccount(one);
    await newAccount(one);
    const [ended, expired] = [(await login(email)).tokens, (await login(email)).tokens];
    await one.access.logout({ accessToken: "", refreshToken: ended?.refreshToken ?? "" }, within());
    const { identity } = (await authenticate(expired?.accessToken)) ?? {};
    await trial.rows("update sessions set expires_at = now() where id = $1", [identity?.sessionId]);
    assert.equal((await sessionsOf(tokens)).length, 1);
  });

  it("ends one of its sessions, and nobody else's", async () => {
    const { email, tokens } = await newAccount(one);
    const { tokens: left } = await login(email);
    const stranger = await newAccount(one);
    const context = await asBearer(tokens);
    const revoke = async (sessionId: string, by = context) =>
      one.access.revokeSession({ sessionId }, by);
    const sessionId = (await sessionsOf(left)).find(({ current }) => current)?.id ?? "";
    const missing = { code: "NOT_FOUND", reason: "SESSION_NOT_FOUND" };

    await assert.rejects(revoke(sessionId, await asBearer(stranger.tokens)), missing);
    assert.equal(await reasonOf(left?.accessToken), "GOOD");
    await revoke(sessionId);
    assert.equal(await reasonOf(left?.accessToken, other), "SESSION_ENDED");
    await assert.rejects(refresh(left?.refreshToken), { reason: "SESSION_ENDED" });
    for (const id of [sessionId, randomUUID(), "", "' or true --", sessionId.toUpperCase()]) {
      await assert.rejects(revoke(id), missing);
    }
    await assert.rejects(revoke(sessionId, within()), { reason: "SIGN_IN_REQUIRED" });
    assert.equal(await reasonOf(tokens.accessToken), "GOOD");
  });

  it("leaves nothing of where it was when it is deleted, nor of a session that is revoked", async () => {
    const { user, email, tokens } = await newAccount(one, "192.0.2.8");
    const { tokens: revoked } = await login(email);
    const { tokens: ended } = await login(email);
    await one.access.logout({ accessToken: "", refreshToken: ended?.refreshToken ?? "" }, within());
    const kept = () =>
      trial.rows<{ count: number }>(
        `select count(*) as count from sessions
          where user_id = $1 and coalesce(address, network, user_agent) is not null`,
        [user.id],
      );
    assert.deepEqual(await kept(), [{ count: 3 }]);
    const { identity } = (await authenticate(revoked?.accessToken)) ?? {};
    const context = await asBearer(tokens);
    await one.access.revokeSession({ sessionId: identity?.sessionId ?? "" }, context);
    assert.deepEqual(await kept(), [{ count: 2 }]);
    await one.user.deleteUser({}, context);
    assert.deepEqual(await kept(), [{ count: 0 }]);
  });
});

/** What the stream named until it named the session. */
async function heard(
  stream: AsyncIterator<WatchRevocationsResponse>,
  sessionId: string,
): Promise<string[]> {
  const told: string[] = [];
  while (!told.includes(sessionId)) {
    const { value, done } = await stream.next();
    assert.ok(!done);
    told.push(...value.sessionIds);
  }
  await stream.return?.();
  return told;
}
