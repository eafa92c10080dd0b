/**
 * Passports: who a user is, signed by access, checked by every service.
 *
 * The gateway gets one for each access token that it has checked, and sends it with whatever it
 * asks in that user's name. So a gateway cannot make up a user, and a bare number in a request says
 * nothing. A passport is no access token: it is for another audience and never leaves the shop.
 */
import type { KeyObject } from "node:crypto";
import { type ItemContext, Role } from "@piata/contracts/item";
import { errors, jwtVerify, SignJWT } from "jose";
import { setBounded } from "./bounded-map.js";
import type { Log } from "./log.js";
import { ALGORITHM, type PublicKeys } from "./public-keys.js";

const ISSUER = "piata";
const AUDIENCE = "piata-services";
const TYPE = "passport+jwt";
const LENGTH_MAX = 1_000;
/** How far clocks may be apart, and how long an item may wait in queues, in seconds. */
const LEEWAY_SECONDS = 60;
const KEPT_MAX = 50_000;

/** Whom a passport is for. */
export interface Bearer {
  userId: number;
  role: Role;
  sessionId: string;
}

export interface SigningKey {
  privateKey: KeyObject;
  /** The `kid` under which the public keys have it. */
  keyId: string;
}

/** Makes a passport; only access has the key. */
export function signPassport(key: SigningKey, bearer: Bearer, expiresAt: Date): Promise<string> {
  const { userId, role, sessionId } = bearer;
  return new SignJWT({ role, sid: sessionId })
    .setProtectedHeader({ alg: ALGORITHM, kid: key.keyId, typ: TYPE })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setSubject(String(userId))
    .setExpirationTime(Math.floor(expiresAt.getTime() / 1_000))
    .sign(key.privateKey);
}

interface Known extends Bearer {
  /** When it is no longer believed, in ms since the epoch. */
  endsMs: number;
}

/** Whom passports are for, each looked at once. */
export class Passports {
  readonly #keys: PublicKeys;
  readonly #log: Log;
  readonly #known = new Map<string, Known>();

  constructor(keys: PublicKeys, log: Log) {
    this.#keys = keys;
    this.#log = log;
  }

  /**
   * Writes into each context whom its passport is for: nobody without a good one, whatever the
   * context said. Returns a promise only when there is something to wait for.
   */
  identify(contexts: readonly ItemContext[]): Promise<unknown> | undefined {
    const unknown: Promise<void>[] = [];
    for (const context of contexts) {
      const { passport } = context;
      const known = passport === "" ? undefined : this.#known.get(passport);
      if (passport === "" || (known && known.endsMs > Date.now())) settle(context, known);
      else unknown.push(this.#check(context));
    }
    return unknown.length > 0 ? Promise.all(unknown) : undefined;
  }

  async #check(context: ItemContext): Promise<void> {
    const { passport, traceId } = context;
    const known = await this.#read(passport);
    if (known instanceof Error) {
      this.#log.warn({ reason: known.message, traceId }, "a passport is not good");
      return settle(context, undefined);
    }
    setBounded(this.#known, [passport, known], KEPT_MAX);
    settle(context, known);
  }

  async #read(passport: string): Promise<Known | Error> {
    if (passport.length > LENGTH_MAX) return new Error("it is too long");
    try {
      const { payload } = await jwtVerify(passport, this.#keys.find, {
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        audience: AUDIENCE,
        typ: TYPE,
        requiredClaims: ["exp", "role", "sid", "sub"],
        clockTolerance: LEEWAY_SECONDS,
      });
      return {
        userId: Number(payload.sub),
        role: payload.role as Role,
        sessionId: payload.sid as string,
        endsMs: ((payload.exp as number) + LEEWAY_SECONDS) * 1_000,
      };
    } catch (error) {
      if (error instanceof errors.JOSEError) return error;
      throw error;
    }
  }
}

function settle(context: ItemContext, known: Bearer | undefined): void {
  context.userId = known?.userId ?? 0;
  context.role = known?.role ?? Role.UNSPECIFIED;
  context.sessionId = known?.sessionId ?? "";
}
