/**
 * Passwords, hashed off the event loop and a few at a time: each hash takes a core and 19 MiB for
 * some ten milliseconds, so that a flood of sign-ins must wait, and soon be refused, while
 * everything else goes on.
 */
import { randomBytes } from "node:crypto";
import { hash, verify } from "@node-rs/argon2";
import { resourceExhausted } from "@piata/kit/errors";

// One of OWASP's equal choices for argon2id, which is the library's default algorithm.
const ARGON2ID = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

export interface PasswordLimits {
  /** Hashes computed at the same time. */
  atOnce: number;
  /** Callers that may wait for their turn; one more is refused. */
  waitingMax: number;
}

/** Hashes and checks passwords, a bounded number at once. */
export class Passwords {
  readonly #limits: PasswordLimits;
  readonly #dummyHash: string;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  private constructor(limits: PasswordLimits, dummyHash: string) {
    this.#limits = limits;
    this.#dummyHash = dummyHash;
  }

  static async open(limits: PasswordLimits): Promise<Passwords> {
    return new Passwords(limits, await hash(randomBytes(32), ARGON2ID));
  }

  /** Throws RESOURCE_EXHAUSTED / TOO_MANY_PASSWORD_CHECKS. */
  hash(password: string): Promise<string> {
    return this.#inTurn(() => hash(password, ARGON2ID));
  }

  /**
   * True when the password is the one of the hash. Without a hash (nobody has that e-mail) it takes
   * as long and is false: the time must not tell who has an account. Throws like `hash`.
   */
  async matches(passwordHash: string | undefined, password: string): Promise<boolean> {
    const same = await this.#inTurn(() => verify(passwordHash ?? this.#dummyHash, password));
    return same && passwordHash !== undefined;
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const { atOnce, waitingMax } = this.#limits;
    if (this.#running < atOnce) this.#running += 1;
    else if (this.#waiting.length < waitingMax) {
      await new Promise<void>((turn) => this.#waiting.push(turn));
    } else {
      throw resourceExhausted(
        "TOO_MANY_PASSWORD_CHECKS",
        "Too many passwords are being checked now; try again in a moment.",
      );
    }
    try {
      return await work();
    } finally {
      // A turn is handed on, so that who comes just now does not overtake who waits.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }
}
