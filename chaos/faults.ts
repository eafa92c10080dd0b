// Makes a schedule come true: each fault when its order has been acknowledged.
import { setTimeout as pause } from "node:timers/promises";
import type { FaultyProxy } from "./proxy.ts";
import { type Fault, faultText } from "./schedule.ts";
import type { System } from "./system.ts";

export interface Disturbance {
  readonly fault: Fault;
  readonly startMs: number;
  /** Undefined while it lasts. */
  endMs: number | undefined;
}

export class Faults {
  /** What has begun so far, on the clock of performance.now(). */
  readonly disturbances: Disturbance[] = [];
  readonly #left: Fault[];
  readonly #system: System;
  readonly #said: (text: string) => void;
  readonly #running = new Set<Promise<void>>();
  readonly failures: Error[] = [];

  /** The schedule is in order. */
  constructor(system: System, schedule: readonly Fault[], said: (text: string) => void) {
    this.#system = system;
    this.#left = [...schedule];
    this.#said = said;
  }

  /** Begins what is due after so many orders. */
  reached(orders: number): void {
    while ((this.#left[0]?.after ?? Number.POSITIVE_INFINITY) <= orders) {
      const fault = this.#left.shift() as Fault;
      const running = this.#run(fault)
        .catch((error: Error) => void this.failures.push(error))
        .finally(() => this.#running.delete(running));
      this.#running.add(running);
    }
  }

  /** Nothing new begins; resolves when what has begun is over. */
  async stop(): Promise<void> {
    this.#left.length = 0;
    await Promise.all(this.#running);
  }

  async #run(fault: Fault): Promise<void> {
    this.#said(faultText(fault));
    const disturbance: Disturbance = { fault, startMs: performance.now(), endMs: undefined };
    this.disturbances.push(disturbance);
    try {
      await this.#strike(fault);
    } finally {
      disturbance.endMs = performance.now();
    }
  }

  #strike(fault: Fault): Promise<void> {
    switch (fault.kind) {
      case "kill":
        return this.#kill(fault);
      case "pause":
        return this.#pause(fault);
      case "delay":
        return this.#proxyOf(fault).delay(fault.holdMs, fault.forMs);
      case "cut":
        return this.#proxyOf(fault).cut(fault.forMs);
      case "drop":
        return this.#proxyOf(fault).dropAnswers(fault.forMs);
    }
  }

  async #kill({ target, instance }: Fault): Promise<void> {
    const victim = await this.#system.process(target, instance);
    signal(victim.pid, "SIGKILL");
    await this.#system.waitBack(target, instance, victim);
  }

  async #pause({ target, instance, forMs }: Fault): Promise<void> {
    const { pid } = await this.#system.process(target, instance);
    signal(pid, "SIGSTOP");
    try {
      await pause(forMs);
    } finally {
      signal(pid, "SIGCONT");
    }
  }

  #proxyOf({ target }: Fault): FaultyProxy {
    const proxy = this.#system.proxies.get(target);
    if (proxy === undefined) throw new Error(`There is no proxy in front of ${target}.`);
    return proxy;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    // Another fault has ended it meanwhile.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
