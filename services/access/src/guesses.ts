/**
 * Checks passwords, so few of one account that nobody finds one by guessing.
 *
 * A guess takes its slots in the database before the password is looked at, and gives them back
 * only when it was right: however many come at once, on whatever instances, no more are checked than
 * the limits say. Accounts that do not exist are counted, and checked, in the same way.
 */
import { type Failure, resourceExhausted } from "@piata/kit/errors";
import type { Metrics } from "@piata/kit/metrics";
import { Counter } from "prom-client";
import { type GuessLimits, slotsOf } from "./guess-limits.js";
import type { GuessStore } from "./guess-store.js";
import type { Passwords } from "./passwords.js";

export interface GuessesOptions {
  store: GuessStore;
  passwords: Passwords;
  limits: GuessLimits;
  metrics: Metrics;
}

export interface Guess {
  /** From `accountOf`. */
  account: string;
  network: string | undefined;
  /** Whether the account's user has signed in from that network. */
  isKnown: boolean;
  /** Undefined when there is no such account. */
  passwordHash: string | undefined;
  password: string;
}

/** Checks passwords, and counts the wrong ones. */
export class Guesses {
  readonly #options: GuessesOptions;
  readonly #refused: Counter;

  constructor(options: GuessesOptions) {
    this.#options = options;
    this.#refused = new Counter({
      name: "piata_password_checks_refused_total",
      help: "Passwords that were not checked, as there had been too many wrong ones.",
      registers: [options.metrics.registry],
    });
  }

  /**
   * Whether the password is the account's. Throws RESOURCE_EXHAUSTED / TOO_MANY_FAILED_LOGINS,
   * TOO_MANY_PASSWORD_CHECKS.
   */
  async isRight(guess: Guess): Promise<boolean> {
    const { store, passwords, limits } = this.#options;
    const { account, isKnown, passwordHash, password } = guess;
    passwords.refuseWhenFull(isKnown);
    const slots = slotsOf(guess, isKnown, limits);
    // A flood of guesses that are refused anyway does not even wait.
    const wait = await store.findWait(slots);
    if (wait > 0) throw this.#refusal(wait);
    // One of an account after the other: right passwords that come together hold no slots of each
    // other's.
    return passwords.inTurn({ account, isKnown }, async (check) => {
      const taken = await store.take(slots);
      if (typeof taken === "number") throw this.#refusal(taken);
      const isRight = await check(passwordHash, password);
      if (isRight) await store.giveBack(taken);
      return isRight;
    });
  }

  #refusal(waitSeconds: number): Failure {
    this.#refused.inc();
    return resourceExhausted(
      "TOO_MANY_FAILED_LOGINS",
      "Too many wrong passwords were tried; try again later.",
      { retryAfterSeconds: String(Math.ceil(waitSeconds)) },
    );
  }
}
