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
  /** Callers that may wait beside those; one more is refused. */
  waitingMax: number;
}

/** The part of the places to wait that strangers may take: a flood of theirs leaves some to owners. */
const STRANGERS_SHARE = 0.75;

/** Hashes and checks passwords, a bounded number at once. */
export class Passwords {
  readonly #limits: PasswordLimits;
  readonly #dummyHash: string;
  readonly #checks: Counter<"result">;
  readonly #queue: (() => void)[] = [];
  /** Callers who have been let in, whatever they are at. */
  #inside = 0;
  #hashing = 0;

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

  get atOnce(): number {
    return this.#limits.atOnce;
  }

  /** Callers that may be in here at once. */
  get places(): number {
    return this.#limits.atOnce + this.#limits.waitingMax;
  }

  /**
   * Throws when one more would find no place to wait, before anything is done for it: a flood that
   * is refused costs little. Throws like `admit`.
   */
  refuseWhenFull(isKnown: boolean): void {
    const { atOnce, waitingMax } = this.#limits;
    const places = isKnown ? this.places : atOnce + Math.ceil(waitingMax * STRANGERS_SHARE);
    if (this.#inside >= places) throw tooManyChecks();
  }

  /**
   * Does what passwords are hashed or checked for, unless there is no place left for those who wait.
   * Who comes from where the account's user has signed in before finds one when strangers do not.
   * Throws RESOURCE_EXHAUSTED / TOO_MANY_PASSWORD_CHECKS.
   */
  async admit<Result>(isKnown: boolean, work: () => Promise<Result>): Promise<Result> {
    this.refuseWhenFull(isKnown);
    this.#inside += 1;
    try {
      return await work();
    } finally {
      this.#inside -= 1;
    }
  }

  /** Throws like `admit`. */
  hash(password: string): Promise<string> {
    return this.admit(false, () => this.#inTurn(() => hash(password, ARGON2ID)));
  }

  /**
   * True when the password is the one of the hash. Without a hash (nobody has that e-mail) it takes
   * as long and is false: the time must not tell who has an account. For callers who were admitted.
   */
  async check(passwordHash: string | undefined, password: string): Promise<boolean> {
    const same = await this.#inTurn(() => verify(passwordHash ?? this.#dummyHash, password));
    const isRight = same && passwordHash !== undefined;
    this.#checks.inc({ result: isRight ? "right" : "wrong" });
    return isRight;
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#hashing < this.#limits.atOnce) this.#hashing += 1;
    else await new Promise<void>((begin) => this.#queue.push(begin));
    try {
      return await work();
    } finally {
      // A turn is handed on here and now, so that who comes next does not overtake who waits.
      const next = this.#queue.shift();
      if (next) next();
      else this.#hashing -= 1;
    }
  }
}

const tooManyChecks = (): Failure =>
  resourceExhausted(
    "TOO_MANY_PASSWORD_CHECKS",
    "Too many passwords are being checked now; try again in a moment.",
  );
