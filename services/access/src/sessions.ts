/** Signing in and out, and who a token speaks for. */
import type { Identity, LoginRequest, Session, Tokens } from "@piata/contracts/access";
import { type Failure, invalidArgument, notFound, unauthenticated } from "@piata/kit/errors";
import { accountOf } from "./guess-limits.js";
import type { Guesses } from "./guesses.js";
import { originOf } from "./origin.js";
import type { Passwords } from "./passwords.js";
import type { Revocations } from "./revocations.js";
import type { OpenSession, SessionStore } from "./session-store.js";
import type { AccessStore } from "./store.js";
import {
  type AccessTokens,
  findRefreshTokenHash,
  findSessionId,
  newRefreshToken,
  roleOf,
  type SignedClaims,
} from "./tokens.js";
import { checkedPassword, findEmail, findPassword, userNotFound } from "./user.js";

export interface SessionsOptions {
  users: AccessStore;
  store: SessionStore;
  passwords: Passwords;
  guesses: Guesses;
  accessTokens: AccessTokens;
  revocations: Revocations;
}

/** A user in one of their sessions. */
export interface Bearer {
  userId: number;
  sessionId: string;
}

export interface PasswordChange {
  currentPassword: string;
  newPassword: string;
  /** From which they ask. */
  address: string;
}

/** Starts, renews and ends sessions. */
export class Sessions {
  readonly #users: AccessStore;
  readonly #store: SessionStore;
  readonly #passwords: Passwords;
  readonly #guesses: Guesses;
  readonly #accessTokens: AccessTokens;
  readonly #revocations: Revocations;

  constructor({ users, store, passwords, guesses, accessTokens, revocations }: SessionsOptions) {
    this.#users = users;
    this.#store = store;
    this.#passwords = passwords;
    this.#guesses = guesses;
    this.#accessTokens = accessTokens;
    this.#revocations = revocations;
  }

  /**
   * Starts a session. Throws UNAUTHENTICATED / WRONG_CREDENTIALS; RESOURCE_EXHAUSTED /
   * TOO_MANY_PASSWORD_CHECKS, TOO_MANY_FAILED_LOGINS.
   */
  async login({ email: emailText, password: text, client }: LoginRequest): Promise<Tokens> {
    const password = findPassword(text);
    // Nobody has such a password, whoever is asked for: no account is given away by refusing early.
    if (password === undefined) throw wrongCredentials();
    this.#passwords.refuseWhenFull(true);
    const email = findEmail(emailText);
    const origin = originOf(client);
    const user = await this.#users.findCredentials({ email, network: origin.network });
    const isRight = await this.#guesses.isRight({
      account: accountOf(emailText),
      network: origin.network,
      isKnown: user?.isKnown ?? false,
      passwordHash: user?.passwordHash,
      password,
    });
    if (!user || !isRight) throw wrongCredentials();
    const { token, hash } = newRefreshToken();
    const session = await this.#store.openSession({ user, tokenHash: hash, origin });
    // The user was deleted, or has another password, since it was checked.
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

  /** The open sessions of a user, the newest first. */
  async list({ userId, sessionId }: Bearer): Promise<Session[]> {
    const sessions = await this.#store.listOpen(userId);
    return sessions.map(({ address, userAgent, ...session }) => ({
      ...session,
      client: { address: address ?? "", userAgent: userAgent ?? "" },
      current: session.id === sessionId,
    }));
  }

  /** Ends one of a user's open sessions. Throws NOT_FOUND / SESSION_NOT_FOUND. */
  async revoke(userId: number, sessionId: string): Promise<void> {
    const id = findSessionId(sessionId);
    if (id === undefined || !(await this.#store.revoke(userId, id))) {
      throw notFound("SESSION_NOT_FOUND", "You have no such open session.");
    }
    this.#revocations.pollSoon();
  }

  /**
   * Gives a user another password and ends all their sessions, this one too. Throws NOT_FOUND /
   * USER_NOT_FOUND; INVALID_ARGUMENT / PASSWORD_WRONG, PASSWORD_WEAK, PASSWORD_TOO_LONG;
   * RESOURCE_EXHAUSTED / TOO_MANY_PASSWORD_CHECKS, TOO_MANY_FAILED_LOGINS.
   */
  async changePassword({ userId, sessionId }: Bearer, change: PasswordChange): Promise<void> {
    this.#passwords.refuseWhenFull(true);
    const { network } = originOf({ address: change.address, userAgent: "" });
    const user = await this.#users.findCredentialsOf(userId, network);
    if (!user) throw userNotFound();
    const next = checkedPassword(change.newPassword, user.email, "newPassword");
    const password = findPassword(change.currentPassword);
    if (password === undefined) throw passwordWrong();
    const guess = { ...user, account: user.email, network, password };
    if (!(await this.#guesses.isRight(guess))) throw passwordWrong();
    const nextHash = await this.#passwords.hash(next);
    // By now another of their sessions may have changed it.
    if (!(await this.#users.changePassword(user, nextHash, sessionId))) throw passwordWrong();
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
    return Promise.all(
      verdicts.map(async (claims) => {
        if (!claims) return tokenInvalid();
        if (claims.expired) return tokenExpired();
        const { userId, role, sessionId, expiresAt } = claims;
        if (!open.has(sessionId)) return sessionEnded();
        const passport = await this.#accessTokens.passport(claims);
        return { identity: { userId, role: roleOf(role), sessionId, expiresAt, passport } };
      }),
    );
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
const passwordWrong = (): Failure =>
  invalidArgument("PASSWORD_WRONG", "The current password is another one.", {
    field: "currentPassword",
  });
