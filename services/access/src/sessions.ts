/** Signing in and out, and who a token speaks for. */
import type { Identity, Tokens } from "@piata/contracts/access";
import { type Failure, unauthenticated } from "@piata/kit/errors";
import type { Passwords } from "./passwords.js";
import type { Revocations } from "./revocations.js";
import type { AccessStore, OpenSession } from "./store.js";
import {
  type AccessTokens,
  findRefreshTokenHash,
  newRefreshToken,
  roleOf,
  type SignedClaims,
} from "./tokens.js";
import { findEmail, findPassword } from "./user.js";

export interface SessionsOptions {
  store: AccessStore;
  passwords: Passwords;
  accessTokens: AccessTokens;
  revocations: Revocations;
}

/** Starts, renews and ends sessions. */
export class Sessions {
  readonly #store: AccessStore;
  readonly #passwords: Passwords;
  readonly #accessTokens: AccessTokens;
  readonly #revocations: Revocations;

  constructor({ store, passwords, accessTokens, revocations }: SessionsOptions) {
    this.#store = store;
    this.#passwords = passwords;
    this.#accessTokens = accessTokens;
    this.#revocations = revocations;
  }

  /**
   * Starts a session. Throws UNAUTHENTICATED / WRONG_CREDENTIALS; RESOURCE_EXHAUSTED /
   * TOO_MANY_PASSWORD_CHECKS.
   */
  async login(emailText: string, passwordText: string): Promise<Tokens> {
    const password = findPassword(passwordText);
    // Nobody has such a password, whoever is asked for: no account is given away by refusing early.
    if (password === undefined) throw wrongCredentials();
    const email = findEmail(emailText);
    const user = email === undefined ? undefined : await this.#store.findCredentials(email);
    const matches = await this.#passwords.matches(user?.passwordHash, password);
    if (!user || !matches) throw wrongCredentials();
    const { token, hash } = newRefreshToken();
    const session = await this.#store.openSession(user.userId, hash);
    // The user was deleted while the password was checked.
    if (!session) throw wrongCredentials();
    return this.#tokens(session, token);
  }

  /**
   * Trades a refresh token for new tokens. Throws UNAUTHENTICATED / TOKEN_INVALID, TOKEN_EXPIRED,
   * SESSION_ENDED.
   */
  async refresh(refreshToken: string): Promise<Tokens> {
    const spentHash = findRefreshTokenHash(refreshToken);
    if (!spentHash) throw tokenInvalid();
    const { token, hash } = newRefreshToken();
    const session = await this.#store.rotate(spentHash, hash);
    if (session) return this.#tokens(session, token);
    switch (await this.#store.judgeRefused(spentHash)) {
      case "UNKNOWN":
        throw tokenInvalid();
      case "EXPIRED":
        throw tokenExpired();
      case "REPLAYED":
        this.#revocations.pollSoon();
        throw sessionEnded();
      case "ENDED":
        throw sessionEnded();
    }
  }

  /** Ends the sessions that the tokens belong to, if they do. */
  async logout(accessToken: string, refreshToken: string): Promise<void> {
    // An access token whose time is over still names its session.
    const claims = await this.#accessTokens.verify(accessToken);
    const hash = findRefreshTokenHash(refreshToken);
    if (!claims && !hash) return;
    await this.#store.endSessions(claims?.sessionId, hash);
    this.#revocations.pollSoon();
  }

  /**
   * Whom each access token speaks for. Failures: UNAUTHENTICATED / TOKEN_INVALID, TOKEN_EXPIRED,
   * SESSION_ENDED.
   */
  async authenticate(accessTokens: string[]): Promise<({ identity: Identity } | Failure)[]> {
    const verdicts = await Promise.all(
      accessTokens.map((token) => this.#accessTokens.verify(token)),
    );
    const current = verdicts.filter(
      (claims): claims is SignedClaims => claims !== undefined && !claims.expired,
    );
    const sessionIds = [...new Set(current.map(({ sessionId }) => sessionId))];
    const open = sessionIds.length > 0 ? await this.#store.findOpen(sessionIds) : new Set();
    return verdicts.map((claims) => {
      if (!claims) return tokenInvalid();
      if (claims.expired) return tokenExpired();
      const { userId, role, sessionId, expiresAt } = claims;
      if (!open.has(sessionId)) return sessionEnded();
      return { identity: { userId, role: roleOf(role), sessionId, expiresAt } };
    });
  }

  async #tokens(session: OpenSession, refreshToken: string): Promise<Tokens> {
    const { token, expiresAt } = await this.#accessTokens.sign(session);
    return {
      accessToken: token,
      accessExpiresAt: expiresAt,
      refreshToken,
      refreshExpiresAt: session.refreshExpiresAt,
    };
  }
}

const wrongCredentials = (): Failure =>
  unauthenticated("WRONG_CREDENTIALS", "The e-mail or the password is wrong.");
const tokenInvalid = (): Failure =>
  unauthenticated("TOKEN_INVALID", "The token is not one that this shop gave out; sign in.");
const tokenExpired = (): Failure =>
  unauthenticated("TOKEN_EXPIRED", "The token's time is over; refresh it, or sign in.");
const sessionEnded = (): Failure =>
  unauthenticated("SESSION_ENDED", "The session has ended; sign in again.");
