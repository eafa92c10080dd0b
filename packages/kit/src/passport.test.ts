import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { describe, it } from "node:test";
import { type ItemContext, Role } from "@piata/contracts/item";
import { nobody, passportOf } from "@piata/testkit/identity";
import { createLocalJWKSet, SignJWT } from "jose";
import { Passports, signPassport } from "./passport.js";
import type { PublicKeys } from "./public-keys.js";
import { openTrialLog } from "./trial.js";

const bearer = { userId: 7, role: Role.STAFF, sessionId: "a-session" };
const inAMinute = () => new Date(Date.now() + 60_000);

function newKey(keyId: string) {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return { keyId, privateKey, jwk: { ...publicKey.export({ format: "jwk" }), kid: keyId } };
}

const keysOf = (...keys: ReturnType<typeof newKey>[]): PublicKeys => ({
  ids: keys.map(({ keyId }) => keyId),
  find: createLocalJWKSet({ keys: keys.map(({ jwk }) => jwk as never) }),
});

/** Whom an item is for that claims to be staff with the id 99 and shows a passport. */
async function whoHas(passport: string, keys: PublicKeys) {
  const { log, lines } = openTrialLog();
  const context: ItemContext = { ...nobody, userId: 99, role: Role.STAFF, passport };
  context.sessionId = "not mine";
  await new Passports(keys, log).identify([context]);
  const { userId, role, sessionId } = context;
  return { userId, role, sessionId, warnings: lines().length };
}

const NOBODY = { userId: 0, role: Role.UNSPECIFIED, sessionId: "" };

describe("a passport", () => {
  const key = newKey("new");
  const old = newKey("old");
  const keys = keysOf(key, old);

  it("says who the user is, whatever the item said", async () => {
    const passport = await signPassport(key, bearer, inAMinute());
    assert.deepEqual(await whoHas(passport, keys), { ...bearer, warnings: 0 });
  });

  it("is believed under every key of the set, and under none that has left it", async () => {
    const passport = await signPassport(old, bearer, inAMinute());
    assert.deepEqual(await whoHas(passport, keys), { ...bearer, warnings: 0 });
    assert.deepEqual(await whoHas(passport, keysOf(key)), { ...NOBODY, warnings: 1 });
  });

  it("that is missing makes whoever asks nobody, silently: not everyone is signed in", async () => {
    assert.deepEqual(await whoHas("", keys), { ...NOBODY, warnings: 0 });
  });

  const claims = { role: Role.STAFF, sid: "s", sub: "7", iss: "piata", aud: "piata-services" };
  const header = { alg: "EdDSA", kid: "new", typ: "passport+jwt" };
  const signed = (
    other: object,
    { head = {}, by = key.privateKey }: { head?: object; by?: KeyObject | Uint8Array } = {},
  ) =>
    new SignJWT({ exp: Math.floor(Date.now() / 1_000) + 60, ...claims, ...other })
      .setProtectedHeader({ ...header, ...head } as never)
      .sign(by);
  const publicBytes = new TextEncoder().encode(JSON.stringify(key.jwk));
  const unsigned = [{ alg: "none", kid: "new", typ: "passport+jwt" }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");

  const FORGED: [what: string, make: () => Promise<string>][] = [
    ["signed with another key", () => signed({}, { by: newKey("new").privateKey })],
    ["of a key that nobody knows", () => signed({}, { head: { kid: "other" } })],
    ["without a key id", () => signed({}, { head: { kid: undefined } })],
    ["without a signature", async () => `${unsigned}.`],
    ["signed with the public key", () => signed({}, { head: { alg: "HS256" }, by: publicBytes })],
    ["for another audience, as access tokens are", () => signed({ aud: "piata" })],
    ["of another issuer", () => signed({ iss: "someone" })],
    ["of another type", () => signed({}, { head: { typ: "JWT" } })],
    ["without an end", () => signed({ exp: undefined })],
    ["whose time is over", () => signed({ exp: Math.floor(Date.now() / 1_000) - 61 })],
    ["that is no token", async () => "passport"],
    ["that is far too long", async () => `${await signed({})}${"a".repeat(1_000)}`],
  ];
  for (const [what, make] of FORGED) {
    it(`${what} makes whoever shows it nobody`, async () => {
      assert.deepEqual(await whoHas(await make(), keys), { ...NOBODY, warnings: 1 });
    });
  }

  it("is looked at once, and then known without waiting, until its time is over", async (t) => {
    const passports = new Passports(keys, openTrialLog().log);
    const passport = await signPassport(key, bearer, inAMinute());
    const context = () => ({ ...nobody, passport });
    await passports.identify([context()]);
    const again = context();
    assert.equal(passports.identify([again]), undefined);
    assert.equal(again.userId, 7);
    t.mock.timers.enable({ apis: ["Date"], now: Date.now() + 121_000 });
    const late = context();
    await passports.identify([late]);
    assert.equal(late.userId, 0);
  });

  it("of one item says nothing about its neighbours", async () => {
    const passports = new Passports(keys, openTrialLog().log);
    const contexts = [
      { ...nobody, passport: await signPassport(key, bearer, inAMinute()) },
      { ...nobody, passport: "forged", userId: 7 },
      { ...nobody, userId: 7 },
    ];
    await passports.identify(contexts);
    assert.deepEqual(
      contexts.map(({ userId }) => userId),
      [7, 0, 0],
    );
  });

  it("of the tests is made by other code than ours, and is none for another key set", async () => {
    const passport = passportOf({ userId: 7, role: Role.CUSTOMER });
    assert.deepEqual(await whoHas(passport, keys), { ...NOBODY, warnings: 1 });
  });
});
