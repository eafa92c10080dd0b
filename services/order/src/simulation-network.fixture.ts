/** Calls between processes, and all that may become of one. */
import { deadlineExceeded, Failure, unavailable } from "@piata/kit/errors";
import type { Owner, Scheduler } from "./simulation-scheduler.fixture.js";

// One of each for all: to make them costs more than what they stand for.
const LOST = unavailable("SERVICE_UNREACHABLE", "It is not reachable now.");
const UNHEARD = deadlineExceeded("DEADLINE", "It did not answer in time.");

const LATE_MAX_MS = 1_800_000;
const SLOW_MAX_MS = 10_000;

type Fate =
  | "arrives"
  /** It never arrives, and the caller hears of that. */
  | "lost"
  /** It takes effect; its answer is lost. */
  | "unheard"
  /** The caller has given up long before it takes effect. */
  | "late"
  /** It takes effect, and again after a while. */
  | "twice";

/** How bad this history is: every kind of fault has a chance of its own, often none. */
export interface Faults {
  chances: Readonly<Record<Exclude<Fate, "arrives">, number>>;
  /** Of each message, to be under way for a while; others overtake it, and leases end meanwhile. */
  slow: number;
  /** Of each process, with every event. */
  crash: number;
  sleep: number;
  /** No call and no process meets with one any more. */
  over: boolean;
}

export function someFaults(scheduler: Scheduler): Faults {
  const some = (most: number) => (scheduler.chance(0.5) ? scheduler.random() * most : 0);
  const chances = { lost: some(0.15), unheard: some(0.2), late: some(0.15), twice: some(0.3) };
  const slow = some(0.4);
  return { chances, slow, crash: some(0.02), sleep: some(0.03), over: false };
}

/** A process of the order service, as those who ask it see it. */
export interface Asked extends Owner {
  /** Told when it dies: who waits for an answer of it. */
  readonly waiting: Set<() => void>;
}

export interface Call<Answer> {
  what: string;
  /** Takes effect at the other side, at once or (a promise) in steps. */
  act: () => Answer | Promise<Answer>;
  /** True when a call may arrive a second time. */
  repeats: boolean;
}

export class Network {
  readonly #scheduler: Scheduler;
  readonly #faults: Faults;
  /** Called with what is thrown and is no answer. */
  readonly #onBug: (error: unknown) => void;

  constructor(scheduler: Scheduler, faults: Faults, onBug: (error: unknown) => void) {
    this.#scheduler = scheduler;
    this.#faults = faults;
    this.#onBug = onBug;
  }

  /**
   * Of a process to a service that is always there; the answer comes back as an event of the
   * caller.
   */
  call<Answer>(caller: Owner, { what, act, repeats }: Call<Answer>): Promise<Answer> {
    const scheduler = this.#scheduler;
    const fate = this.#fate(repeats);
    const asked = `${caller.name}: ${what}`;
    return new Promise((resolve, reject) => {
      const hear = (said: string, go: () => void) =>
        scheduler.later(`${asked} ${said}`, go, { owner: caller, delayMs: this.#wayMs() });
      const fail = (failure: unknown) => hear("fails", () => reject(failure));
      if (fate === "lost") return fail(LOST);
      if (fate === "late") fail(UNHEARD);
      const delayMs = fate === "late" ? scheduler.someMs(LATE_MAX_MS) : this.#wayMs();
      const heard = fate === "arrives" || fate === "twice";
      const tell = (go: () => void) => {
        if (heard) hear("is answered", go);
        else if (fate === "unheard") fail(UNHEARD);
      };
      const deliver = () =>
        this.#act(act).then(
          (answer) => tell(() => resolve(answer)),
          (error) => tell(() => reject(error)),
        );
      scheduler.later(`${asked} arrives${heard ? "" : `, ${fate}`}`, deliver, { delayMs });
      if (fate !== "twice") return;
      const again = () => this.#act(act).catch(() => undefined);
      scheduler.later(`${asked} arrives again`, again, { delayMs: scheduler.someMs(LATE_MAX_MS) });
    });
  }

  /** Of a customer to a process that may die. */
  ask<Answer>(process: Asked, { what, act, repeats }: Call<Answer>): Promise<Answer> {
    const scheduler = this.#scheduler;
    const fate = this.#fate(repeats);
    return new Promise((resolve, reject) => {
      const hear = (said: string, go: () => void) =>
        scheduler.later(`${what} ${said}`, go, { delayMs: this.#wayMs() });
      const fail = () => hear("fails", () => reject(LOST));
      if (fate === "lost" || process.dead) return fail();
      process.waiting.add(fail);
      const tell = (go: () => void) => {
        // Not when it has died.
        if (!process.waiting.delete(fail)) return;
        if (fate === "unheard" || fate === "late") fail();
        else hear("is answered", go);
      };
      const deliver = () =>
        this.#act(act).then(
          (answer) => tell(() => resolve(answer)),
          (error) => tell(() => reject(error)),
        );
      const owner = process;
      scheduler.later(`${process.name} hears: ${what}`, deliver, { owner });
      if (fate !== "twice") return;
      const again = () => this.#act(act).catch(() => undefined);
      const delayMs = scheduler.someMs(LATE_MAX_MS);
      scheduler.later(`${process.name} hears again: ${what}`, again, { owner, delayMs });
    });
  }

  async #act<Answer>(act: () => Answer | Promise<Answer>): Promise<Answer> {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof Failure)) this.#onBug(error);
      throw error;
    }
  }

  #wayMs(): number {
    const isSlow = !this.#faults.over && this.#scheduler.chance(this.#faults.slow);
    return isSlow ? this.#scheduler.someMs(SLOW_MAX_MS) : 0;
  }

  #fate(repeats: boolean): Fate {
    if (this.#faults.over) return "arrives";
    const { lost, unheard, late, twice } = this.#faults.chances;
    let left = this.#scheduler.random();
    for (const [fate, chance] of [
      ["lost", lost],
      ["unheard", unheard],
      ["late", late],
    ] as const) {
      left -= chance;
      if (left < 0) return fate;
    }
    return repeats && left < twice ? "twice" : "arrives";
  }
}
