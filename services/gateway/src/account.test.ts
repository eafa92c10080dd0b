import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import type { RunningService } from "@piata/testkit/service";
import { until } from "@piata/testkit/until";
import { ask, bearer, newPerson, type Person, type Shop, signIn, startShop } from "./fixture.js";

const CHANGE = "mutation ($input: ChangePasswordInput!) { changePassword(input: $input) }";
const SESSIONS = "{ sessions { id createdAt lastUsedAt expiresAt address userAgent current } }";
const REVOKE = "mutation ($id: String!) { revokeSession(id: $id) }";

interface ShownSession {
  id: string;
  createdAt: string;
  lastUsedAt: string;
  expiresAt: string;
  address: string | null;
  userAgent: string | null;
  current: boolean;
}

describe("an account's sessions", () => {
  let shop: Shop;
  let other: RunningService;

  before(async () => {
    shop = await startShop();
    other = await shop.startGateway({});
  });
  after(async () => {
    await other.stop();
    await shop.stop();
  });

  const otherUrl = () => `http://${other.address}/graphql`;

  async function reasonOf(token: string, url = shop.url): Promise<string> {
    const { errors } = await ask(url, "{ me { id } }", { headers: bearer(token) });
    return errors[0]?.extensions.reason ?? "GOOD";
  }

  async function sessionsOf(person: Person, headers = person.headers): Promise<ShownSession[]> {
    const { data, errors } = await ask(shop.url, SESSIONS, { headers });
    assert.deepEqual(errors, []);
    return data.sessions;
  }

  /** How long the other gateway still lets in a token that it knows, once something is done. */
  async function endsElsewhere(token: string, end: () => Promise<unknown>): Promise<number> {
    assert.equal(await reasonOf(token, otherUrl()), "GOOD");
    await end();
    const startedMs = performance.now();
    await until(async () => (await reasonOf(token, otherUrl())) === "SESSION_ENDED");
    return performance.now() - startedMs;
  }

  const asked = async (person: Person, query: string, variables: object = {}) => {
    const { errors } = await ask(shop.url, query, { variables, headers: person.headers });
    assert.deepEqual(errors, []);
  };

  it("end at another gateway within a second: by logout, a new password, or from elsewhere", async () => {
    const person = await newPerson(shop.url);
    const [left, lost, kept] = [
      await signIn(shop.url, person),
      await signIn(shop.url, person),
      await signIn(shop.url, person),
    ];
    const newest = (await sessionsOf(person, bearer(lost.token))).find(({ current }) => current);
    const took = {
      logout: await endsElsewhere(left.token, () =>
        ask(shop.url, "mutation { logout }", { headers: bearer(left.token) }),
      ),
      revokeSession: await endsElsewhere(lost.token, () =>
        asked(person, REVOKE, { id: newest?.id }),
      ),
      changePassword: await endsElsewhere(kept.token, () =>
        asked(person, CHANGE, {
          input: { currentPassword: person.password, newPassword: "another battery" },
        }),
      ),
    };
    const told = Object.entries(took).map(([name, ms]) => `${name} ${Math.round(ms)} ms`);
    console.log(`a known token is refused by another gateway after: ${told.join(", ")}`);
    for (const ms of Object.values(took)) assert.ok(ms < 1_000);
    for (const url of [shop.url, otherUrl()])
      assert.equal(await reasonOf(person.token, url), "GOOD");
    await signIn(shop.url, { email: person.email, password: "another battery" });
  });

  it("are shown to their user, each with where it was begun", async () => {
    const person = await newPerson(shop.url);
    const headers = { "user-agent": "A browser" };
    await ask(shop.url, "mutation ($input: AuthLoginInput!) { login(input: $input) }", {
      variables: { input: { email: person.email, password: person.password } },
      headers,
    });
    const [newest, first, ...more] = await sessionsOf(person);
    assert.deepEqual(more, []);
    assert.deepEqual(
      [newest?.address, newest?.userAgent, newest?.current],
      ["127.0.0.1", "A browser", false],
    );
    assert.equal(first?.current, true);
    for (const at of [first?.createdAt, first?.lastUsedAt, first?.expiresAt]) {
      assert.equal(new Date(at ?? "").toISOString(), at);
    }
  });

  it("are nobody else's to see or to end", async () => {
    const [person, stranger] = [await newPerson(shop.url), await newPerson(shop.url)];
    const [mine] = await sessionsOf(person);
    for (const id of [mine?.id, randomUUID(), "", "1"]) {
      const { errors } = await ask(shop.url, REVOKE, {
        variables: { id },
        headers: stranger.headers,
      });
      const { code, reason } = errors[0]?.extensions ?? {};
      assert.deepEqual([code, reason], ["NOT_FOUND", "SESSION_NOT_FOUND"]);
    }
    assert.equal((await sessionsOf(person))[0]?.id, mine?.id);
    const input = { currentPassword: "a battery", newPassword: "another battery" };
    for (const [query, variables] of [
      [SESSIONS, {}],
      [REVOKE, { id: mine?.id }],
      [CHANGE, { input }],
    ] as const) {
      const { errors } = await ask(shop.url, query, { variables });
      assert.equal(errors[0]?.extensions.reason, "SIGN_IN_REQUIRED");
    }
  });

  it("stay when the current password is wrong, and the answer names the field", async () => {
    const person = await newPerson(shop.url);
    const input = { currentPassword: "incorrect horse", newPassword: "another battery" };
    const { errors } = await ask(shop.url, CHANGE, {
      variables: { input },
      headers: person.headers,
    });
    const { code, reason, metadata } = errors[0]?.extensions ?? {};
    assert.deepEqual([code, reason], ["INVALID_ARGUMENT", "PASSWORD_WRONG"]);
    assert.deepEqual(metadata, { field: "currentPassword" });
    assert.equal(await reasonOf(person.token), "GOOD");
  });
});
