import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import type { Tokens } from "@piata/contracts/access";
import { Role } from "@piata/contracts/item";
import { fromStatus } from "@piata/kit/errors";
import { as } from "@piata/testkit/identity";
import { SignJWT } from "jose";
import { type Instance, newAccount, PASSWORD, Trial, within } from "./trial.js";

const WRONG_CREDENTIALS = {
  code: "UNAUTHENTICATED",
  reason: "WRONG_CREDENTIALS",
  message: "The e-mail or the password is wrong.",
};

describe("the access and user services", () => {
  let trial: Trial;
  let instance: Instance;

  before(async () => {
    trial = await Trial.open();
    instance = await trial.start();
  });
  after(() => trial.close());

  const login = (email: string, password: string) =>
    instance.access.login({ email, password }, within());
  const register = (email: string, password: string) =>
    instance.user.registerUser({ email, password }, within());
  const refresh = (refreshToken: string) => instance.access.refresh({ refreshToken }, within());
  const logout = (tokens: Partial<Tokens>) =>
    instance.access.logout({ accessToken: "", refreshToken: "", ...tokens }, within());

  /** For each token the user it speaks for, or the reason why it does not. */
  async function authenticate(...accessTokens: string[]): Promise<(number | string)[]> {
    const items = accessTokens.map((accessToken) => ({ accessToken }));
    const { results } = await instance.access.batchAuthenticate({ items }, within());
    return results.map(({ identity, failure }) =>
      failure ? fromStatus(failure).reason : (identity?.userId ?? 0),
    );
  }

  it("register a user, who is found by id, without what nobody needs to know", async () => {
    const email = `Ana.${randomUUID()}@Example.com`;
    const { user: created } = await register(email, PASSWORD);
    assert.equal(created?.email, email.toLowerCase());
    assert.equal(created?.role, Role.CUSTOMER);
    assert.ok(Math.abs((created?.createdAt?.getTime() ?? 0) - Date.now()) < 60_000);
    const found = await instance.user.getUser(as(created?.id ?? 0), within());
    assert.deepEqual(found, { user: created });
  });

  it("give an e-mail to one of two who register it at once, however they write it", async () => {
    const email = `${randomUUID()}@example.com`;
    const settled = await Promise.allSettled([
      register(email, PASSWORD),
      register(email.toUpperCase(), PASSWORD),
    ]);
    assert.deepEqual(settled.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
    const lost = settled.find(({ status }) => status === "rejected") as PromiseRejectedResult;
    assert.deepEqual([lost.reason.code, lost.reason.reason], ["ALREADY_EXISTS", "EMAIL_TAKEN"]);
  });

  it("refuse to register what is malformed, and name the field", async () => {
    const email = `${randomUUID()}@example.com`;
    const cases = [
      { email: "ana@", password: PASSWORD, reason: "EMAIL_INVALID", field: "email" },
      { email, password: "password1", reason: "PASSWORD_WEAK", field: "password" },
      { email, password: "é".repeat(129), reason: "PASSWORD_TOO_LONG", field: "password" },
    ];
    for (const { email: address, password, reason, field } of cases) {
      await assert.rejects(register(address, password), {
        code: "INVALID_ARGUMENT",
        reason,
        metadata: { field },
      });
    }
  });

  it("sign a user in, however the e-mail is written", async () => {
    const account = await newAccount(instance);
    const { tokens } = await login(account.email.toUpperCase(), PASSWORD);
    const items = [{ accessToken: tokens?.accessToken ?? "" }];
    const { results } = await instance.access.batchAuthenticate({ items }, within());
    const { userId, role, expiresAt, sessionId } = results[0]?.identity ?? {};
    assert.deepEqual([userId, role], [account.user.id, Role.CUSTOMER]);
    assert.deepEqual(expiresAt, tokens?.accessExpiresAt);
    assert.match(sessionId ?? "", /^[0-9a-f-]{36}$/);
    const days = ((tokens?.refreshExpiresAt?.getTime() ?? 0) - Date.now()) / 86_400_000;
    assert.ok(days > 29.9 && days < 30.1);
  });

  it("refuse an unknown user and a wrong password in the same words", async () => {
    const { email } = await newAccount(instance);
    await assert.rejects(login(email, "incorrect horse"), WRONG_CREDENTIALS);
    await assert.rejects(login(`${randomUUID()}@example.com`, PASSWORD), WRONG_CREDENTIALS);
    await assert.rejects(login("not an e-mail\u0000", PASSWORD), WRONG_CREDENTIALS);
    await assert.rejects(login(email, "x".repeat(10_240)), WRONG_CREDENTIALS);
    await assert.rejects(login(email, ""), WRONG_CREDENTIALS);
  });

  it("answer each access token on its own", async () => {
    const [one, other, gone] = [
      await newAccount(instance),
      await newAccount(instance),
      await newAccount(instance),
    ];
    await logout({ refreshToken: gone.tokens.refreshToken });
    const [good, alsoGood, ended] = [one, other, gone].map(({ tokens }) => tokens.accessToken);
    const tokens = [good, "junk", ended, alsoGood, good, ""] as string[];
    assert.deepEqual(await authenticate(...tokens), [
      one.user.id,
      "TOKEN_INVALID",
      "SESSION_ENDED",
      other.user.id,
      one.user.id,
      "TOKEN_INVALID",
    ]);
    assert.deepEqual(await authenticate(), []);
    await assert.rejects(authenticate(...new Array(1_001).fill(good)), {
      code: "INVALID_ARGUMENT",
      reason: "TOO_MANY_ITEMS",
    });
  });

  it("tell an expired access token from a forged one, yet end its session", async () => {
    const { user: owner, tokens } = await newAccount(instance);
    const [, payload] = tokens.accessToken.split(".");
    const claims = JSON.parse(Buffer.from(payload as string, "base64url").toString());
    const sign = (changed: object) =>
      new SignJWT({ ...claims, ...changed })
        .setProtectedHeader({ alg: "EdDSA", kid: trial.key.keyId, typ: "JWT" })
        .sign(trial.key.privateKey);
    const expired = await sign({ exp: claims.iat - 60 });
    const unknownSession = await sign({ sid: randomUUID() });
    assert.deepEqual(
      await authenticate(tokens.accessToken, expired, unknownSession, await sign({ aud: "x" })),
      [owner.id, "TOKEN_EXPIRED", "SESSION_ENDED", "TOKEN_INVALID"],
    );
    await logout({ accessToken: await sign({ aud: "x" }) });
    assert.deepEqual(await authenticate(tokens.accessToken), [owner.id]);
    await logout({ accessToken: expired });
    assert.deepEqual(await authenticate(tokens.accessToken), ["SESSION_ENDED"]);
  });

  it("give new tokens for a refresh token, and to both of two tabs at once", async () => {
    const { user: owner, tokens } = await newAccount(instance);
    const tabs = await Promise.all([refresh(tokens.refreshToken), refresh(tokens.refreshToken)]);
    const accessTokens = tabs.map((tab) => tab.tokens?.accessToken ?? "");
    assert.deepEqual(await authenticate(...accessTokens), [owner.id, owner.id]);
    for (const tab of tabs) await refresh(tab.tokens?.refreshToken ?? "");
  });

  it("end the session when a spent token is played again after the grace", async () => {
    const { user: owner, tokens } = await newAccount(instance);
    const { tokens: next } = await refresh(tokens.refreshToken);
    await trial.rows(
      `update refresh_tokens t set spent_at = spent_at - interval '11 seconds'
         from sessions s
        where s.id = t.session_id and s.user_id = $1 and spent_at is not null`,
      [owner.id],
    );
    const ended = { code: "UNAUTHENTICATED", reason: "SESSION_ENDED" };
    await assert.rejects(refresh(tokens.refreshToken), ended);
    await assert.rejects(refresh(next?.refreshToken ?? ""), ended);
    assert.deepEqual(await authenticate(next?.accessToken ?? ""), ["SESSION_ENDED"]);
  });

  it("refuse a refresh token that is unknown or expired", async () => {
    const { user: owner, tokens } = await newAccount(instance);
    for (const token of ["", "junk", "x".repeat(43), tokens.accessToken]) {
      await assert.rejects(refresh(token), { code: "UNAUTHENTICATED", reason: "TOKEN_INVALID" });
    }
    await trial.rows(
      `update refresh_tokens t set expires_at = now() from sessions s
        where s.id = t.session_id and s.user_id = $1`,
      [owner.id],
    );
    const expired = { code: "UNAUTHENTICATED", reason: "TOKEN_EXPIRED" };
    await assert.rejects(refresh(tokens.refreshToken), expired);
  });

  it("sign out once and for all, by either token, as often as asked", async () => {
    const [one, other] = [await newAccount(instance), await newAccount(instance)];
    for (let times = 0; times < 2; times += 1) {
      await logout({ accessToken: one.tokens.accessToken });
      await logout({ refreshToken: other.tokens.refreshToken });
    }
    for (const { tokens } of [one, other]) {
      assert.deepEqual(await authenticate(tokens.accessToken), ["SESSION_ENDED"]);
      await assert.rejects(refresh(tokens.refreshToken), { reason: "SESSION_ENDED" });
    }
    await logout({});
    await logout({ accessToken: "junk", refreshToken: "junk" });
  });

  it("make a user staff from the next refresh on, and a customer again", async () => {
    const { email, tokens } = await newAccount(instance);
    const roleNow = async (accessToken = "") => {
      const items = [{ accessToken }];
      const { results } = await instance.access.batchAuthenticate({ items }, within());
      return results[0]?.identity?.role;
    };
    const setRole = (address: string, role: Role) =>
      instance.operator.setUserRole({ email: address, role }, within());
    await setRole(email.toUpperCase(), Role.STAFF);
    assert.equal(await roleNow(tokens.accessToken), Role.CUSTOMER);
    const { tokens: next } = await refresh(tokens.refreshToken);
    assert.equal(await roleNow(next?.accessToken), Role.STAFF);
    await setRole(email, Role.CUSTOMER);
    const { tokens: last } = await login(email, PASSWORD);
    assert.equal(await roleNow(last?.accessToken), Role.CUSTOMER);
    for (const address of ["not an e-mail", `${randomUUID()}@example.com`]) {
      const unknown = { code: "NOT_FOUND", reason: "USER_NOT_FOUND" };
      await assert.rejects(setRole(address, Role.STAFF), unknown);
    }
    const invalid = { code: "INVALID_ARGUMENT", reason: "ROLE_INVALID" };
    await assert.rejects(setRole(email, Role.UNSPECIFIED), invalid);
  });

  it("forget a deleted user at once, as often as asked, and never give the id again", async () => {
    const { user: owner, email, tokens } = await newAccount(instance);
    await instance.user.deleteUser(as(owner.id), within());
    await instance.user.deleteUser(as(owner.id), within());
    assert.deepEqual(await authenticate(tokens.accessToken), ["SESSION_ENDED"]);
    await assert.rejects(refresh(tokens.refreshToken), { reason: "SESSION_ENDED" });
    await assert.rejects(login(email, PASSWORD), WRONG_CREDENTIALS);
    const unknown = { code: "NOT_FOUND", reason: "USER_NOT_FOUND" };
    await assert.rejects(instance.user.getUser(as(owner.id), within()), unknown);
    const { user: again } = await register(email, PASSWORD);
    assert.notEqual(again?.id, owner.id);
  });

  it("show and delete only who is signed in", async () => {
    const refused = { code: "UNAUTHENTICATED", reason: "SIGN_IN_REQUIRED" };
    await assert.rejects(instance.user.getUser({}, within()), refused);
    await assert.rejects(instance.user.deleteUser({ context: undefined }, within()), refused);
    await assert.rejects(instance.user.getUser(as(2 ** 31 - 1), within()), {
      reason: "USER_NOT_FOUND",
    });
  });

  it("log neither e-mails nor passwords nor tokens", async () => {
    const { email, tokens } = await newAccount(instance);
    const { tokens: next } = await refresh(tokens.refreshToken);
    await assert.rejects(register(email, PASSWORD), { reason: "EMAIL_TAKEN" });
    await assert.rejects(login(email, "incorrect horse"), WRONG_CREDENTIALS);
    await logout({ ...next });
    const said = instance.service.output();
    const secrets = [email.slice(0, 16), PASSWORD, "incorrect horse"];
    for (const { accessToken = "", refreshToken = "" } of [tokens, next ?? {}]) {
      secrets.push(accessToken, refreshToken);
    }
    assert.match(said, /AccessService\/Login/);
    for (const secret of secrets) assert.ok(!said.includes(secret), secret);
  });
});
