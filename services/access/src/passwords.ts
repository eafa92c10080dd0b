/**
 * Passwords, hashed off the event loop and a few at a time: each hash takes a core and 19 MiB for
 * some ten milliseconds, so that a flood of sign-ins must wait, and soon be refused, while
 * everything else goes on.
 */
import { randomBytes } from "node:crypto";
import { hash, verify } from "@node-rs/argon2";
import { type Failure, resourceExhausted } from "@piata/kit/errors";
import type { Metrics } from "@piata/kit/metrics";
import { Counter } from "prom-client";
import { standBack } from "./thread-priority.js";

// One of OWASP's equal choices for argon2id, which is the library's default algorithm.
const ARGON2ID = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

export interface PasswordLimits {
  /** Hashes computed at the same time. */
  atOnce: number;
  /** Callers that may wait for their turn; one more is refused. */
  waitingMax: number;
}

/** The part of the places that strangers may take: a flood of theirs leaves some to the owners. */
const STRANGERS_SHARE = 0.75;

/** For whom a password is looked at. */
export interface Turn {
  /** Whose turns come one after the other; undefined for nobody's. */
  account: string | undefined;
  /** Whether they come from where the account's user has signed in before. */
  isKnown: boolean;
}

const NEWCOMER: Turn = { account: undefined, isKnown: false };

/**
 * True when the password is the one of the hash. Without a hash (nobody has that e-mail) it takes as
 * long and is false: the time must not tell who has an account.
 */
type Check = (passwordHash: string | undefined, password: string) => Promise<boolean>;

/** Hashes and checks passwords, a bounded number at once. */
export class Passwords {
  readonly #limits: PasswordLimits;
  readonly #dummyHash: string;
  readonly #checks: Counter<"result">;
  readonly #waiting: { account: string | undefined; begin: () => void }[] = [];
  /** The accounts whose turn it is. */
  readonly #busy = new Set<string>();
  #running = 0;

  private constructor(limits: PasswordLimits, { registry }: Metrics, dummyHash: string) {
    this.#limits = limits;
    this.#dummyHash = dummyHash;
    this.#checks = new Counter({
      name: "piata_password_checks_total",
      help: "Passwords checked, by whether they were right.",
      labelNames: ["result"],
      registers: [registry],
    });
  }

  static async open(limits: PasswordLimits, metrics: Metrics): Promise<Passwords> {
    const dummyHash = await hash(randomBytes(32), ARGON2ID);
    await standBack();
    return new Passwords(limits, metrics, dummyHash);
  }

  /**
   * Throws when one more would find no place to wait, before anything is done for it: a flood that
   * is refused costs little. Throws like `hash`.
   */
  refuseWhenFull(isKnown: boolean): void {
    if (this.#running >= this.#limits.atOnce && !this.#mayWait(isKnown)) throw tooManyChecks();
  }

  /** Throws RESOURCE_EXHAUSTED / TOO_MANY_PASSWORD_CHECKS. */
  hash(password: string): Promise<string> {
    return this.#wait(NEWCOMER, () => hash(password, ARGON2ID));
  }

  /** Does what an account's password is needed for, one for each account at a time. Throws like `hash`. */
  inTurn<Result>(turn: Turn, work: (check: Check) => Promise<Result>): Promise<Result> {
    return this.#wait(turn, () => work(this.#check));
  }

  readonly #check: Check = async (passwordHash, password) => {
    const same = await verify(passwordHash ?? this.#dummyHash, password);
    const isRight = same && passwordHash !== undefined;
    this.#checks.inc({ result: isRight ? "right" : "wrong" });
    return isRight;
  };

  async #wait<Result>({ account, isKnown }: Turn, work: () => Promise<Result>): Promise<Result> {
    if (this.#mayBegin(account)) this.#begin(account);
    else if (this.#mayWait(isKnown)) {
      await new Promise<void>((begin) => this.#waiting.push({ account, begin }));
    } else {
      throw tooManyChecks();
    }
    try {
      return await work();
    } finally {
      this.#running -= 1;
      if (account !== undefined) this.#busy.delete(account);
      this.#callNext();
    }
  }

  #mayBegin(account: string | undefined): boolean {
    return this.#running < this.#limits.atOnce && !this.#isBusy(account);
  }

  #mayWait(isKnown: boolean): boolean {
    const { waitingMax } = this.#limits;
    return this.#waiting.length < (isKnown ? waitingMax : Math.ceil(waitingMax * STRANGERS_SHARE));
  }

  #isBusy(account: string | undefined): boolean {
    return account !== undefined && this.#busy.has(account);
  }

  #begin(account: string | undefined): void {
    this.#running += 1;
    if (account !== undefined) this.#busy.add(account);
  }

  /** A turn is handed on here and now, so that who comes next does not overtake who waits. */
  #callNext(): void {
    const index = this.#waiting.findIndex(({ account }) => this.#mayBegin(account));
    const [next] = index < 0 ? [] : this.#waiting.splice(index, 1);
    if (!next) return;
    this.#begin(next.account);
    next.begin();
  }
}

const tooManyChecks = (): Failure =>
  resourceExhausted(
    "TOO_MANY_PASSWORD_CHECKS",
    "Too many passwords are being checked now; try again in a moment.",
  );
