import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import type { WatchRevocationsResponse } from "@piata/contracts/access";
import { isFailure } from "@piata/kit/errors";
import { as } from "@piata/testkit/identity";
import { type Instance, newAccount, PASSWORD, startCart, Trial, within } from "./trial.js";

const sessionOf = (accessToken: string): string =>
  JSON.parse(Buffer.from(accessToken.split(".")[1] as string, "base64url").toString()).sid;

/** Resolves when the stream names the session. */
async function heardOf(sessionId: string, stream: AsyncIterable<WatchRevocationsResponse>) {
  for await (const { sessionIds } of stream) if (sessionIds.includes(sessionId)) return;
  assert.fail("the stream ended");
}

describe("instances of access", () => {
  let trial: Trial;
  let one: Instance;
  let other: Instance;

  before(async () => {
    trial = await Trial.open();
    [one, other] = await Promise.all([trial.start(), trial.start()]);
  });
  after(() => trial.close());

  const logout = (instance: Instance, accessToken: string) =>
    instance.access.logout({ accessToken, refreshToken: "" }, within());

  it("know each other's sessions", async () => {
    const { user, tokens } = await newAccount(one);
    const items = [{ accessToken: tokens.accessToken }];
    const { results } = await other.access.batchAuthenticate({ items }, within());
    assert.equal(results[0]?.identity?.userId, user.id);
  });

  it("tell a watcher within a second of a session that ended on another instance", async () => {
    const { tokens } = await newAccount(one);
    const stream = one.access.watchRevocations({})[Symbol.asyncIterator]();
    const first = await stream.next();
    assert.ok(!first.value.sessionIds.includes(sessionOf(tokens.accessToken)));
    await logout(other, tokens.accessToken);
    const startedMs = performance.now();
    await heardOf(sessionOf(tokens.accessToken), { [Symbol.asyncIterator]: () => stream });
    assert.ok(performance.now() - startedMs < 1_000);
  });

  it("tell a new watcher first of what ended before it came", async () => {
    const { tokens } = await newAccount(one);
    await logout(one, tokens.accessToken);
    for await (const { sessionIds } of other.access.watchRevocations({})) {
      assert.ok(sessionIds.includes(sessionOf(tokens.accessToken)));
      break;
    }
  });

  it("tell watchers of a stolen session and of a deleted user's", async () => {
    const [stolen, deleted] = [await newAccount(one), await newAccount(one)];
    const refresh = () =>
      other.access.refresh({ refreshToken: stolen.tokens.refreshToken }, within());
    await refresh();
    await trial.rows(
      `update refresh_tokens set spent_at = now() - interval '1 hour' where session_id = $1`,
      [sessionOf(stolen.tokens.accessToken)],
    );
    const heard = [stolen, deleted].map(({ tokens }) =>
      heardOf(sessionOf(tokens.accessToken), one.access.watchRevocations({})),
    );
    await assert.rejects(refresh(), { reason: "SESSION_ENDED" });
    await other.user.deleteUser(as(deleted.user.id), within());
    await Promise.all(heard);
  });

  it("let a watcher hear at least every 300 ms that nothing ended", async () => {
    const gapsMs: number[] = [];
    let lastMs = performance.now();
    for await (const _ of one.access.watchRevocations({})) {
      gapsMs.push(performance.now() - lastMs);
      lastMs = performance.now();
      if (gapsMs.length === 8) break;
    }
    // The median: the machine that tests may be busy for a moment.
    const medianMs = gapsMs.slice(1).sort((a, b) => a - b)[3] as number;
    assert.ok(medianMs < 300, `${gapsMs}`);
  });

  it("stop soon and cleanly though they are watched", async () => {
    const watched = await trial.start();
    const ended = (async () => {
      for await (const _ of watched.access.watchRevocations({}));
    })();
    await newAccount(watched);
    const startedMs = performance.now();
    assert.equal(await watched.service.stop(), 0);
    assert.ok(performance.now() - startedMs < 4_000);
    await ended;
  });

  it("refuse a flood of sign-ins early, and meanwhile answer what needs no password", async () => {
    const small = await trial.start({
      ACCESS_PASSWORD_CHECKS_AT_ONCE: "1",
      ACCESS_PASSWORD_CHECKS_WAITING: "3",
    });
    const { email, tokens, user } = await newAccount(small);
    const items = [{ accessToken: tokens.accessToken }];
    const flood = Promise.allSettled(
      Array.from({ length: 200 }, () =>
        small.access.login({ email, password: PASSWORD }, within()),
      ),
    );
    const { results } = await small.access.batchAuthenticate({ items }, within());
    assert.equal(results[0]?.identity?.userId, user.id);
    const settled = await flood;
    const refused = settled.filter(
      (login) => login.status === "rejected" && isFailure(login.reason, "TOO_MANY_PASSWORD_CHECKS"),
    );
    const signedIn = settled.filter(({ status }) => status === "fulfilled");
    assert.ok(signedIn.length >= 4, `${signedIn.length} were signed in`);
    assert.ok(refused.length > 0);
    assert.equal(signedIn.length + refused.length, settled.length);
    await small.access.login({ email, password: PASSWORD }, within());
  });

  it("hash no password of 10 kB: not even one turn is taken for it", async () => {
    const busy = await trial.start({
      ACCESS_PASSWORD_CHECKS_AT_ONCE: "1",
      ACCESS_PASSWORD_CHECKS_WAITING: "0",
    });
    const request = { email: "ana@example.com", password: "x1".repeat(5_120) };
    const attempts = Array.from({ length: 50 }, () => busy.user.registerUser(request, within()));
    for (const { reason } of (await Promise.allSettled(attempts)) as PromiseRejectedResult[]) {
      assert.equal(reason.reason, "PASSWORD_TOO_LONG");
    }
  });

  it("say by name what is wrong with their settings", async () => {
    await assert.rejects(trial.start({ ACCESS_SIGNING_KEY_FILE: "/nowhere" }), {
      message: /ACCESS_SIGNING_KEY_FILE: the file cannot be read/,
    });
    await assert.rejects(trial.start({ ACCESS_TOKEN_SECONDS: "3601", ACCESS_DATABASE_URL: "x" }), {
      message: /ACCESS_DATABASE_URL: must(.|\n)*ACCESS_TOKEN_SECONDS: must be from 1 to 3600/,
    });
  });
});

describe("a deleted user's cart", () => {
  let trial: Trial;
  beforeEach(async () => {
    trial = await Trial.open();
  });
  afterEach(() => trial.close());

  const erasures = () => trial.rows<{ tries: number }>("select tries from erasures");

  it("is erased, also when the cart service is away at first", async () => {
    const { server: away } = await startCart();
    await away.close(0);
    const instance = await trial.start({ CART_TARGET: `127.0.0.1:${away.port}` });
    const { user } = await newAccount(instance);
    await instance.user.deleteUser(as(user.id), within());
    await until(async () => (await erasures()).some(({ tries }) => tries > 0));
    const { server, erased } = await startCart(away.port);
    await until(async () => (await erasures()).length === 0);
    assert.ok(erased.includes(user.id));
    await server.close(0);
  });

  it("is erased by another instance when the one that deleted was killed before", async () => {
    const deleter = await trial.start();
    const { user } = await newAccount(deleter);
    await deleter.user.deleteUser(as(user.id), within());
    deleter.service.kill();
    const { server, erased } = await startCart();
    await trial.start({ CART_TARGET: `127.0.0.1:${server.port}` });
    // As if the lease of the dead were over.
    await until(async () => {
      await trial.rows("update erasures set next_try_at = now()");
      return (await erasures()).length === 0;
    });
    assert.ok(erased.includes(user.id));
    await server.close(0);
  });
});

/** Asks again and again until it holds; the test's own time limit ends it otherwise. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds()));
}
