/**
 * What happens next: one seed, one history. Everything that is under way in the simulation is an
 * event here; a seeded generator picks the next one, and time is a number that jumps. No real
 * timer, clock or chance.
 */

import { seeded } from "@piata/testkit/random";

/**
 * A process that waits for its events: when it is dead they never come, when it sleeps they come
 * late.
 */
export interface Owner {
  readonly name: string;
  dead: boolean;
  awakeAtMs: number;
}

interface Event {
  what: string;
  atMs: number;
  owner: Owner | undefined;
  happen(): void;
}

interface When {
  /** How much later, in virtual time, at the earliest. */
  delayMs?: number;
  /** Whose event it is. */
  owner?: Owner;
}

const START_MS = 1_000_000;
/** No history of a shop that comes to rest is nearly as long. */
const EVENTS_MAX = 20_000;

export class Scheduler {
  nowMs = START_MS;
  events = 0;
  /** True when something was changed since somebody looked. */
  changed = false;
  /** How often time goes on although something could happen at once. */
  hurry = 0;
  readonly #notes: { atMs: number; what: string }[] = [];
  /** From 0 up to, not including, 1. */
  readonly random: () => number;
  #ready: Event[] = [];
  #timed: Event[] = [];

  constructor(seed: number) {
    this.random = seeded(seed);
    // Neighbouring seeds begin alike.
    for (let times = 0; times < 4; times += 1) this.random();
  }

  /** A whole number from 0 up to, without, `limit`. */
  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  chance(probability: number): boolean {
    return probability > 0 && this.random() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item;
  }

  /** A time up to `maxMs`, a short one as likely as a long one. */
  someMs(maxMs: number): number {
    return Math.floor(Math.exp(this.random() * Math.log(maxMs)));
  }

  /** Lets something happen, in whatever order with everything else that may. */
  later(what: string, happen: () => void, { delayMs = 0, owner }: When = {}): void {
    const event = { what, atMs: this.nowMs + delayMs, owner, happen };
    (delayMs > 0 ? this.#timed : this.#ready).push(event);
  }

  pause(what: string, when: When): Promise<void> {
    return new Promise((resolve) => this.later(what, resolve, when));
  }

  note(what: string): void {
    this.#notes.push({ atMs: this.nowMs, what });
  }

  /** What happened, in order, for people. */
  trace(): string[] {
    return this.#notes.map(({ atMs, what }) => {
      const seconds = ((atMs - START_MS) / 1_000).toFixed(3);
      return `${seconds.padStart(9)}  ${what}`;
    });
  }

  /** Notes something that is different now. */
  fact(what: string): void {
    this.changed = true;
    this.note(`  ${what}`);
  }

  /**
   * Goes on until nothing is under way, or `step` (told before each event) says that it is enough.
   */
  async run(step: () => boolean): Promise<void> {
    while (step()) {
      const event = this.#next();
      if (!event) return;
      if (event.owner?.dead) continue;
      if (event.owner && event.owner.awakeAtMs > this.nowMs) {
        event.atMs = event.owner.awakeAtMs;
        this.#timed.push(event);
        continue;
      }
      this.events += 1;
      if (this.events > EVENTS_MAX) throw new Error("It does not come to rest.");
      this.note(event.what);
      event.happen();
      await settled();
    }
  }

  #next(): Event | undefined {
    if (this.#ready.length === 0 || this.chance(this.hurry)) this.#passTime();
    if (this.#ready.length === 0) return undefined;
    const place = this.below(this.#ready.length);
    const event = this.#ready[place] as Event;
    const last = this.#ready.pop() as Event;
    if (last !== event) this.#ready[place] = last;
    return event;
  }

  #passTime(): void {
    if (this.#timed.length === 0) return;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const { atMs } of this.#timed) nextMs = Math.min(nextMs, atMs);
    this.nowMs = Math.max(this.nowMs, nextMs);
    const waiting: Event[] = [];
    for (const event of this.#timed) (event.atMs <= nextMs ? this.#ready : waiting).push(event);
    this.#timed = waiting;
  }
}

/** When every promise that can go on has gone on: a tick comes after the last of them. */
const settled = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));

/** The same for the same trace (FNV-1a, 32 bits). */
export function hashOf(trace: readonly string[]): string {
  let hash = 0x811c9dc5;
  for (const line of trace) {
    for (let place = 0; place < line.length; place += 1) {
      hash = Math.imul(hash ^ line.charCodeAt(place), 0x01000193);
    }
  }
  return (hash >>> 0).toString(16).padStart(8, "0");
}
