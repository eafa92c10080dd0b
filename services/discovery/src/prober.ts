/** Probes every instance about once a second, never too many at a time. */
import type { Instance } from "@piata/contracts/discovery";
import type { Outcome } from "./health.js";
import { type InstanceProbe, PROBE_TIMEOUT_MS, probeOf } from "./probe.js";

const INTERVAL_MS = 1_000;
/** What fails is asked again sooner: it may be back, or be gone for good. */
const AGAIN_MS = 500;
/** The first probe of what has just come. */
const FIRST_MS = 200;
const JITTER = 0.15;
const PROBES_MAX = 100;
/** A probe that took so much longer than its time limit says that we are slow, and nothing else. */
const LATE_MS = 200;

export interface ProberOptions {
  instances(): Instance[];
  report(instance: Instance, outcome: Outcome): void;
  probeOf?: (instance: Instance) => InstanceProbe | undefined;
  /** A clock in milliseconds that never goes back. */
  now?: () => number;
  /** 0 to 1. */
  random?: () => number;
}

interface Probing {
  probe: InstanceProbe | undefined;
  dueMs: number;
  isAsking: boolean;
}

/** Who is probed, and when next. */
export class Prober {
  readonly #options: Required<ProberOptions>;
  /** By the object, which is another one when what it says has changed. */
  readonly #probings = new Map<Instance, Probing>();
  #asking = 0;

  constructor(options: ProberOptions) {
    this.#options = {
      probeOf,
      now: () => performance.now(),
      random: Math.random,
      ...options,
    };
  }

  /** Starts the probes that are due. To be called several times a second. */
  tick(): void {
    const now = this.#options.now();
    this.#follow(this.#options.instances(), now);
    const due = [...this.#probings]
      .filter(([, { probe, dueMs, isAsking }]) => probe && !isAsking && dueMs <= now)
      .sort(([, one], [, other]) => one.dueMs - other.dueMs)
      .slice(0, PROBES_MAX - this.#asking);
    for (const [instance, probing] of due) void this.#ask(instance, probing);
  }

  close(): void {
    this.#follow([], 0);
  }

  #follow(instances: Instance[], now: number): void {
    const there = new Set(instances);
    for (const [instance, { probe }] of this.#probings) {
      if (there.has(instance)) continue;
      probe?.close();
      this.#probings.delete(instance);
    }
    const { probeOf, random } = this.#options;
    for (const instance of instances) {
      if (this.#probings.has(instance)) continue;
      const dueMs = now + FIRST_MS * random();
      this.#probings.set(instance, { probe: probeOf(instance), dueMs, isAsking: false });
    }
  }

  async #ask(instance: Instance, probing: Probing): Promise<void> {
    const { now, random, report } = this.#options;
    const startMs = now();
    probing.isAsking = true;
    this.#asking += 1;
    const outcome = (await probing.probe?.ask()) as Outcome;
    this.#asking -= 1;
    probing.isAsking = false;
    const pauseMs = outcome.verdict === "SERVING" ? INTERVAL_MS : AGAIN_MS;
    probing.dueMs = now() + pauseMs * (1 - JITTER + 2 * JITTER * random());
    const isLate = now() - startMs > PROBE_TIMEOUT_MS + LATE_MS;
    const isGone = this.#probings.get(instance) !== probing;
    if (!isGone && !(outcome.verdict === "NO_ANSWER" && isLate)) report(instance, outcome);
  }
}
