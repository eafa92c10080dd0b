/** The two kinds of token: access tokens are signed and speak, refresh tokens only point. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  randomBytes,
} from "node:crypto";
import { readFile } from "node:fs/promises";
import { Role } from "@piata/contracts/item";
import { ConfigError } from "@piata/kit/config";
import { calculateJwkThumbprint, errors, type JWTPayload, jwtVerify, SignJWT } from "jose";

const PARTY = "piata";
const ALGORITHM = "EdDSA";
const ACCESS_TOKEN_LENGTH_MAX = 2_048;
/** How far the clocks of two instances may be apart, in seconds. */
export const CLOCK_TOLERANCE_SECONDS = 2;

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const USER_ID = /^[1-9]\d{0,9}$/;
const REFRESH_TOKEN = /^[\w-]{43}$/;

const ROLES = { customer: Role.CUSTOMER, staff: Role.STAFF } as const;
export type RoleName = keyof typeof ROLES;

/** What an access token says, or a session would have one say. */
export interface Claims {
  userId: number;
  sessionId: string;
  role: RoleName;
}

/** A token that this shop signed. */
export interface SignedClaims extends Claims {
  expiresAt: Date;
  expired: boolean;
}

export const roleOf = (name: RoleName): Role => ROLES[name];

/** A role that a user can have, or undefined. */
export const findRoleName = (role: Role): RoleName | undefined =>
  (Object.keys(ROLES) as RoleName[]).find((name) => ROLES[name] === role);

/** Signs and reads access tokens. */
export class AccessTokens {
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;
  readonly #keyId: string;
  readonly #lifetimeSeconds: number;

  private constructor(privateKey: KeyObject, keyId: string, lifetimeSeconds: number) {
    this.#privateKey = privateKey;
    this.#publicKey = createPublicKey(privateKey);
    this.#keyId = keyId;
    this.#lifetimeSeconds = lifetimeSeconds;
  }

  /** Throws ConfigError when the file holds no Ed25519 private key. */
  static async open(keyFile: string, lifetimeSeconds: number): Promise<AccessTokens> {
    const key = await readKey(keyFile);
    const keyId = await calculateJwkThumbprint(createPublicKey(key));
    return new AccessTokens(key, keyId, lifetimeSeconds);
  }

  async sign({ userId, sessionId, role }: Claims): Promise<{ token: string; expiresAt: Date }> {
    const issuedAt = Math.floor(Date.now() / 1_000);
    const expiresAt = issuedAt + this.#lifetimeSeconds;
    const token = await new SignJWT({ sid: sessionId, role })
      .setProtectedHeader({ alg: ALGORITHM, kid: this.#keyId, typ: "JWT" })
      .setIssuer(PARTY)
      .setAudience(PARTY)
      .setSubject(String(userId))
      .setIssuedAt(issuedAt)
      .setExpirationTime(expiresAt)
      .sign(this.#privateKey);
    return { token, expiresAt: new Date(expiresAt * 1_000) };
  }

  /** What a token says, or undefined when it is not one that this shop signed. */
  async verify(token: string): Promise<SignedClaims | undefined> {
    if (token.length > ACCESS_TOKEN_LENGTH_MAX) return undefined;
    try {
      const { payload } = await jwtVerify(token, this.#publicKey, {
        algorithms: [ALGORITHM],
        issuer: PARTY,
        audience: PARTY,
        requiredClaims: ["exp", "iat", "role", "sid", "sub"],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
      });
      return signedClaims(payload, false);
    } catch (error) {
      // Expiry is judged last, after the signature, the issuer and the audience.
      if (error instanceof errors.JWTExpired) return signedClaims(error.payload, true);
      if (error instanceof errors.JOSEError) return undefined;
      throw error;
    }
  }
}

function signedClaims(payload: JWTPayload, expired: boolean): SignedClaims | undefined {
  const { sub, sid, role, exp } = payload;
  const known =
    typeof sub === "string" &&
    USER_ID.test(sub) &&
    typeof sid === "string" &&
    UUID.test(sid) &&
    typeof role === "string" &&
    Object.hasOwn(ROLES, role) &&
    exp !== undefined;
  if (!known) return undefined;
  return {
    userId: Number(sub),
    sessionId: sid,
    role: role as RoleName,
    expiresAt: new Date(exp * 1_000),
    expired,
  };
}

async function readKey(keyFile: string): Promise<KeyObject> {
  const setting = "ACCESS_SIGNING_KEY_FILE";
  const pem = await readFile(keyFile).catch((error: NodeJS.ErrnoException) => {
    throw new ConfigError(`${setting}: the file cannot be read (${error.code}).`);
  });
  let key: KeyObject | undefined;
  try {
    key = createPrivateKey(pem);
  } catch {
    // OpenSSL's words would say nothing that the message below does not.
  }
  if (key?.asymmetricKeyType !== "ed25519") {
    throw new ConfigError(`${setting}: the file must hold an Ed25519 private key (PKCS#8, PEM).`);
  }
  return key;
}

/** A new refresh token: 256 random bits, and the hash that is all the database knows. */
export function newRefreshToken(): { token: string; hash: Buffer } {
  const token = randomBytes(32).toString("base64url");
  return { token, hash: sha256(token) };
}

/** The hash under which a refresh token is known, or undefined when it cannot be one. */
export const findRefreshTokenHash = (token: string): Buffer | undefined =>
  REFRESH_TOKEN.test(token) ? sha256(token) : undefined;

// The token is random as a whole, so that a fast hash without salt protects it well.
const sha256 = (text: string): Buffer => createHash("sha256").update(text).digest();
