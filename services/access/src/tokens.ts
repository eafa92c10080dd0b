/** The kinds of token: access tokens and passports are signed and speak, refresh tokens only point. */
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { Role } from "@piata/contracts/item";
import { ConfigError } from "@piata/kit/config";
import { type SigningKey, signPassport } from "@piata/kit/passport";
import { ALGORITHM, type PublicKeys } from "@piata/kit/public-keys";
import { errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify, SignJWT } from "jose";
import { publicJwk, SIGNING_KEY_NAME } from "./signing-key.js";

const PARTY = "piata";
const TYPE = "JWT";
const ACCESS_TOKEN_LENGTH_MAX = 2_048;
/** How far the clocks of two instances may be apart, in seconds. */
export const CLOCK_TOLERANCE_SECONDS = 2;

/** Three parts, the last an Ed25519 signature of 64 bytes, spelled as they were given out. */
const ACCESS_TOKEN = /^[\w-]+\.[\w-]+\.[\w-]{85}[AQgw]$/;

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

export interface AccessTokensOptions {
  key: SigningKey;
  publicKeys: PublicKeys;
  lifetimeSeconds: number;
}

/** The id of a session, or undefined when it cannot be one. */
export const findSessionId = (text: string): string | undefined =>
  UUID.test(text) ? text : undefined;

/** Signs and reads access tokens. */
export class AccessTokens {
  readonly #key: SigningKey;
  readonly #findKey: JWTVerifyGetKey;
  readonly #lifetimeSeconds: number;

  private constructor({ key, publicKeys, lifetimeSeconds }: AccessTokensOptions) {
    this.#key = key;
    this.#lifetimeSeconds = lifetimeSeconds;
    this.#findKey = async (header, token) => {
      // A set of one key would be taken to mean that one.
      if (header.kid === undefined) throw new errors.JWKSNoMatchingKey();
      return publicKeys.find(header, token);
    };
  }

  /** Throws ConfigError when nobody would believe what the key signs. */
  static async open(options: AccessTokensOptions): Promise<AccessTokens> {
    const tokens = new AccessTokens(options);
    const probe = { userId: 1, sessionId: randomUUID(), role: "customer" } as const;
    if (!(await tokens.verify((await tokens.sign(probe)).token))) {
      throw new ConfigError(
        `${SIGNING_KEY_NAME}: add its public key to PIATA_PUBLIC_KEYS_FILE of every program first: ` +
          JSON.stringify(publicJwk(options.key)),
      );
    }
    return tokens;
  }

  async sign({ userId, sessionId, role }: Claims): Promise<{ token: string; expiresAt: Date }> {
    const issuedAt = Math.floor(Date.now() / 1_000);
    const expiresAt = issuedAt + this.#lifetimeSeconds;
    const token = await new SignJWT({ sid: sessionId, role })
      .setProtectedHeader({ alg: ALGORITHM, kid: this.#key.keyId, typ: TYPE })
      .setIssuer(PARTY)
      .setAudience(PARTY)
      .setSubject(String(userId))
      .setIssuedAt(issuedAt)
      .setExpirationTime(expiresAt)
      .sign(this.#key.privateKey);
    return { token, expiresAt: new Date(expiresAt * 1_000) };
  }

  /** Says the same as an access token, to the other services and for as long. */
  passport({ userId, sessionId, role, expiresAt }: SignedClaims): Promise<string> {
    return signPassport(this.#key, { userId, role: roleOf(role), sessionId }, expiresAt);
  }

  /** What a token says, or undefined when it is not one that this shop signed. */
  async verify(token: string): Promise<SignedClaims | undefined> {
    if (token.length > ACCESS_TOKEN_LENGTH_MAX) return undefined;
    // Base64 is also read with spaces, padding and other unused bits: one token would have
    // thousands of spellings, each of them kept by gateways as another one.
    if (!ACCESS_TOKEN.test(token)) return undefined;
    try {
      const { payload } = await jwtVerify(token, this.#findKey, {
        algorithms: [ALGORITHM],
        issuer: PARTY,
        audience: PARTY,
        typ: TYPE,
        requiredClaims: ["exp", "iat", "role", "sid", "sub"],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
      });
      return signedClaims(payload, false);
    } catch (error) {
      // Expiry is judged last, after the signature, the type, the issuer and the audience.
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
