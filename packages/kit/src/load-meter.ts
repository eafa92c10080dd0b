/** How busy this process is. */
import { type EventLoopUtilization, performance } from "node:perf_hooks";
import type { Load } from "@piata/contracts/discovery";
import type { Metrics } from "./metrics.js";

// Several readers, as several discovery instances are, get the same window measured.
const WINDOW_MS_MIN = 500;

/** Measures the load since the last time it did. */
export class LoadMeter {
  readonly #metrics: Metrics;
  readonly #now: () => number;
  #startMs: number;
  #answers: number;
  #cpu = process.cpuUsage();
  #loop: EventLoopUtilization = performance.eventLoopUtilization();
  #last: Load;

  /** `now` is a clock in milliseconds that never goes back. */
  constructor(metrics: Metrics, now: () => number = () => performance.now()) {
    this.#metrics = metrics;
    this.#now = now;
    this.#startMs = now();
    this.#answers = metrics.callsAnswered;
    this.#last = {
      callsInProgress: metrics.callsInProgress,
      callsPerSecond: 0,
      eventLoopUtilization: 0,
      cpuCores: 0,
      memoryBytes: process.memoryUsage.rss(),
    };
  }

  load(): Load {
    const windowMs = this.#now() - this.#startMs;
    if (windowMs < WINDOW_MS_MIN) return this.#last;
    const { callsAnswered, callsInProgress } = this.#metrics;
    const cpu = process.cpuUsage();
    const loop = performance.eventLoopUtilization();
    const cpuMs = (cpu.user - this.#cpu.user + cpu.system - this.#cpu.system) / 1000;
    this.#last = {
      callsInProgress,
      callsPerSecond: ((callsAnswered - this.#answers) * 1000) / windowMs,
      eventLoopUtilization: performance.eventLoopUtilization(loop, this.#loop).utilization,
      cpuCores: cpuMs / windowMs,
      memoryBytes: process.memoryUsage.rss(),
    };
    this.#startMs += windowMs;
    this.#answers = callsAnswered;
    this.#cpu = cpu;
    this.#loop = loop;
    return this.#last;
  }
}
