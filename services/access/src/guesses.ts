/**
 * Checks passwords, so few of one account that nobody finds one by guessing.
 *
 * A guess takes its slots in the database before the password is looked at, and gives them back
 * only when it was right: however many come at once, on whatever instances, no more are checked than
 * the limits say. Accounts that do not exist are counted, and checked, in the same way.
 */
import { coalesce } from "@piata/kit/coalesce";
import { type Failure, internal, resourceExhausted } from "@piata/kit/errors";
import type { Metrics } from "@piata/kit/metrics";
import { Counter } from "prom-client";
import { type GuessLimits, type Slot, slotsOf } from "./guess-limits.js";
import type { GuessStore, Taken } from "./guess-store.js";
import type { Passwords } from "./passwords.js";
import { Turns } from "./turns.js";

/**
 * Passwords that are checked in one round. Hashing empties the caches of whatever else runs:
 * statements and answers of many at a time cost a fraction of what they do one by one, in between.
 */
const ROUND_MAX = 16;

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

/** A guess, and what it is counted under. */
interface Counted {
  guess: Guess;
  slots: Slot[];
}

/** Checks passwords, and counts the wrong ones. */
export class Guesses {
  readonly #store: GuessStore;
  readonly #passwords: Passwords;
  readonly #limits: GuessLimits;
  readonly #refused: Counter;
  readonly #turns = new Turns();
  readonly #check: (counted: Counted) => Promise<boolean>;

  constructor({ store, passwords, limits, metrics }: GuessesOptions) {
    this.#store = store;
    this.#passwords = passwords;
    this.#limits = limits;
    this.#refused = new Counter({
      name: "piata_password_checks_refused_total",
      help: "Passwords that were not checked, as there had been too many wrong ones.",
      registers: [metrics.registry],
    });
    this.#check = coalesce({
      ...metrics.batches("access.check"),
      maxItems: ROUND_MAX,
      maxWaiting: passwords.places,
      // While one round asks the database, others hash.
      maxInFlight: () => Math.max(2, passwords.atOnce),
      send: (counted: Counted[]) => this.#checkEach(counted),
    });
  }

  /**
   * Whether the password is the account's. Throws RESOURCE_EXHAUSTED / TOO_MANY_FAILED_LOGINS,
   * TOO_MANY_PASSWORD_CHECKS.
   */
  async isRight(guess: Guess): Promise<boolean> {
    const { account, isKnown } = guess;
    this.#passwords.refuseWhenFull(isKnown);
    const slots = slotsOf(guess, isKnown, this.#limits);
    // A flood of guesses that are refused anyway does not even wait.
    const wait = await this.#store.findWait(slots);
    if (wait > 0) throw this.#refusal(wait);
    // One of an account after the other: right passwords that come together hold no slots of each
    // other's.
    return this.#passwords.admit(isKnown, () =>
      this.#turns.inTurn(account, () => this.#check({ guess, slots })),
    );
  }

  /** A round: all that is asked of the database is asked at once, before and after the checks. */
  async #checkEach(counted: Counted[]): Promise<(boolean | Failure)[]> {
    const taken = await Promise.all(counted.map(({ slots }) => this.#store.take(slots)));
    const verdicts = await Promise.all(
      counted.map(async ({ guess: { passwordHash, password } }, index) => {
        const held = taken[index] as Taken | number;
        if (typeof held === "number") return this.#refusal(held);
        return this.#passwords.check(passwordHash, password).catch(internal);
      }),
    );
    const free = taken.filter((_, index) => verdicts[index] === true);
    await Promise.all(free.map((held) => this.#store.giveBack(held as Taken)));
    return verdicts;
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
