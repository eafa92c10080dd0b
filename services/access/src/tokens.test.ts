import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject, randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { Role } from "@piata/contracts/item";
import { ConfigError } from "@piata/kit/config";
import { openLog } from "@piata/kit/log";
import { Passports } from "@piata/kit/passport";
import { openPublicKeys, type PublicKeys } from "@piata/kit/public-keys";
import { nobody } from "@piata/testkit/identity";
import {
  calculateJwkThumbprint,
  decodeProtectedHeader,
  type JWTHeaderParameters,
  SignJWT,
  UnsecuredJWT,
} from "jose";
import { openSigningKey } from "./signing-key.js";
import { AccessTokens, findRefreshTokenHash, newRefreshToken } from "./tokens.js";
import { createKeyPair, type KeyPair, writeKeySet } from "./trial.js";

describe("an access token", () => {
  let key: KeyPair;
  let publicKeys: PublicKeys;
  let tokens: AccessTokens;
  const claims = { userId: 7, sessionId: randomUUID(), role: "staff" as const };
  const nowSeconds = Math.floor(Date.now() / 1_000);

  before(async () => {
    key = await createKeyPair();
    publicKeys = await openPublicKeys(key.publicKeysFile);
    tokens = await AccessTokens.open({ key, publicKeys, lifetimeSeconds: 600 });
  });
  after(() => key.remove());

  /** A token as the shop would sign it, but for what is given. */
  function forge(
    payload: Record<string, unknown>,
    header: { alg?: string; kid?: string | undefined; typ?: string | undefined } = {},
    signer: KeyObject | Uint8Array = key.privateKey,
  ): Promise<string> {
    return new SignJWT({
      iss: "piata",
      aud: "piata",
      sub: "7",
      sid: claims.sessionId,
      role: "staff",
      iat: nowSeconds,
      exp: nowSeconds + 600,
      ...payload,
    })
      .setProtectedHeader({
        alg: "EdDSA",
        kid: key.keyId,
        typ: "JWT",
        ...header,
      } as JWTHeaderParameters)
      .sign(signer);
  }

  it("says whose it is, and until when", async () => {
    const { token, expiresAt } = await tokens.sign(claims);
    assert.deepEqual(await tokens.verify(token), { ...claims, expiresAt, expired: false });
    assert.ok(Math.abs(expiresAt.getTime() - Date.now() - 600_000) < 5_000);
  });

  it("names its key by the key's thumbprint", async () => {
    const { token } = await tokens.sign(claims);
    const kid = await calculateJwkThumbprint(key.publicKey);
    assert.deepEqual(decodeProtectedHeader(token), { alg: "EdDSA", kid, typ: "JWT" });
  });

  it("is known again by another instance with the same key", async () => {
    const other = await AccessTokens.open({ key, publicKeys, lifetimeSeconds: 60 });
    assert.equal((await other.verify((await tokens.sign(claims)).token))?.userId, 7);
  });

  it("tells that it is expired, and still what it said", async () => {
    const late = await tokens.verify(await forge({ exp: nowSeconds - 60 }));
    assert.equal(late?.expired, true);
    assert.equal(late?.sessionId, claims.sessionId);
  });

  it("is not expired while clocks may differ", async () => {
    assert.equal((await tokens.verify(await forge({ exp: nowSeconds })))?.expired, false);
  });

  it("is not one when another key signed it", async () => {
    const { privateKey } = generateKeyPairSync("ed25519");
    assert.equal(await tokens.verify(await forge({}, {}, privateKey)), undefined);
  });

  it("is not one without the id of a key that is known, or of another type", async () => {
    const headers = [
      { kid: undefined },
      { kid: "" },
      { kid: "another" },
      { typ: undefined },
      { typ: "at+jwt" },
      { typ: "passport+jwt" },
    ];
    for (const header of headers) {
      assert.equal(await tokens.verify(await forge({}, header)), undefined, JSON.stringify(header));
    }
    assert.equal((await tokens.verify(await forge({})))?.userId, 7);
  });

  it("is no passport, and a passport is none", async () => {
    const { token, expiresAt } = await tokens.sign(claims);
    const passport = await tokens.passport({ ...claims, expiresAt, expired: false });
    assert.equal(await tokens.verify(passport), undefined);
    const contexts = [passport, token].map((text) => ({ ...nobody, passport: text }));
    await new Passports(publicKeys, openLog("test", "fatal")).identify(contexts);
    const [bearer, forged] = contexts.map(({ userId, role, sessionId }) => ({
      userId,
      role,
      sessionId,
    }));
    assert.deepEqual(bearer, { userId: 7, role: Role.STAFF, sessionId: claims.sessionId });
    assert.deepEqual(forged, { userId: 0, role: Role.UNSPECIFIED, sessionId: "" });
  });

  it("is not one without a signature", async () => {
    const bare = new UnsecuredJWT({ sid: claims.sessionId, role: "staff" })
      .setIssuer("piata")
      .setAudience("piata")
      .setSubject("7")
      .setIssuedAt()
      .setExpirationTime("10m")
      .encode();
    assert.equal(await tokens.verify(bare), undefined);
    const { token } = await tokens.sign(claims);
    assert.equal(await tokens.verify(token.slice(0, token.lastIndexOf(".") + 1)), undefined);
  });

  it("is not one when the public key was used as a shared secret", async () => {
    const asPem = Buffer.from(key.publicKey.export({ type: "spki", format: "pem" }));
    const asBytes = Buffer.from(key.publicKey.export({ format: "jwk" }).x as string, "base64url");
    for (const secret of [asPem, asBytes]) {
      assert.equal(await tokens.verify(await forge({}, { alg: "HS256" }, secret)), undefined);
    }
  });

  it("is not one when its words were changed", async () => {
    const [header, , signature] = (await tokens.sign(claims)).token.split(".");
    const [, payload] = (await forge({ sub: "8" })).split(".");
    assert.equal(await tokens.verify([header, payload, signature].join(".")), undefined);
  });

  const wrong: Record<string, unknown>[] = [
    { iss: "elsewhere" },
    { iss: undefined },
    { aud: "elsewhere" },
    { aud: undefined },
    { exp: undefined },
    { sub: undefined },
    { sub: "0" },
    { sub: "1e9" },
    { sid: undefined },
    { sid: "' or true --" },
    { role: undefined },
    { role: "owner" },
    { role: "toString" },
  ];
  for (const payload of wrong) {
    it(`is not one with ${JSON.stringify(payload)} (${Object.keys(payload)})`, async () => {
      assert.equal(await tokens.verify(await forge(payload)), undefined);
    });
  }

  it("has one spelling", async () => {
    const { token } = await tokens.sign(claims);
    const [head, last] = [token.slice(0, -1), token.slice(-1)];
    const unusedBit = { A: "B", Q: "R", g: "h", w: "x" }[last];
    const spaced = `${head.slice(0, -9)} ${head.slice(-9)}${last}`;
    for (const spelling of [
      `${head}${unusedBit}`,
      `${token}==`,
      `${token} `,
      `${token}\n`,
      spaced,
    ]) {
      assert.equal(await tokens.verify(spelling), undefined, JSON.stringify(spelling));
    }
  });

  it("is not just any text", async () => {
    for (const text of ["", ".", "a.b.c", "é.é.é", "null", "x".repeat(1_000_000), "e30.e30.e30"]) {
      assert.equal(await tokens.verify(text), undefined);
    }
  });
});

describe("the signing key", () => {
  const names = (error: unknown) =>
    error instanceof ConfigError && error.message.startsWith("ACCESS_SIGNING_KEY_FILE: ");

  it("must be an Ed25519 private key in a file", async () => {
    const key = await createKeyPair();
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2_048 });
    const contents = [
      "not a key",
      rsa.privateKey.export({ type: "pkcs8", format: "pem" }),
      key.publicKey.export({ type: "spki", format: "pem" }),
    ];
    for (const content of contents) {
      await writeFile(key.file, content);
      await assert.rejects(openSigningKey(key.file), names);
    }
    await key.remove();
    await assert.rejects(openSigningKey(key.file), names);
  });

  it("must be among the public keys, under its own id, and the refusal says what to add", async () => {
    const [key, other] = [await createKeyPair(), await createKeyPair()];
    const open = async () =>
      AccessTokens.open({
        key,
        publicKeys: await openPublicKeys(key.publicKeysFile),
        lifetimeSeconds: 600,
      });
    await open();
    const { x } = key.publicKey.export({ format: "jwk" });
    for (const keyId of [other.keyId, key.keyId]) {
      await writeKeySet(key.publicKeysFile, { ...other, keyId });
      await assert.rejects(
        open(),
        (error: Error) => names(error) && error.message.includes(`${x}`),
      );
    }
    for (const each of [key, other]) await each.remove();
  });
});

describe("a refresh token", () => {
  it("is 256 random bits, known by their hash", () => {
    const { token, hash } = newRefreshToken();
    assert.equal(Buffer.from(token, "base64url").length, 32);
    assert.deepEqual(findRefreshTokenHash(token), hash);
    assert.notEqual(newRefreshToken().token, token);
  });

  it("is not looked for when it cannot be one", () => {
    for (const text of ["", "x", "x".repeat(44), `${"x".repeat(42)}\n`, "x".repeat(10_000)]) {
      assert.equal(findRefreshTokenHash(text), undefined);
    }
  });
});
