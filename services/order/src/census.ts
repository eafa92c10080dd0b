/** How many orders wait for what, and for how long: the numbers of the whole shop, by each instance. */
import type { Log } from "@piata/kit/log";
import type { Metrics } from "@piata/kit/metrics";
import { Gauge } from "prom-client";
import type { OrderStore, Unfinished } from "./store.js";

const EVERY_MS = 5_000;
/** Each has a number at all times: a gauge that is not there looks like one that is fine. */
const STATES = ["INTENT", "ABANDONED", "CREATED", "APPROVED", "PAID"];

export interface CensusOptions {
  store: Pick<OrderStore, "countUnfinished" | "countSetAside">;
  metrics: Metrics;
  log: Log;
}

/** Counts every few seconds, and not when it is asked: a scrape never waits for the database. */
export class Census {
  readonly #options: CensusOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #unfinished: Gauge;
  readonly #oldest: Gauge;
  readonly #refunds: Gauge;
  readonly #oldestRefund: Gauge;
  readonly #setAside: Gauge;
  readonly #countedAt: Gauge;
  #counting: Promise<void>;

  constructor(options: CensusOptions) {
    this.#options = options;
    const gauge = (name: string, help: string, labelNames: string[] = []) =>
      new Gauge({ name, help, labelNames, registers: [options.metrics.registry] });
    this.#unfinished = gauge("piata_orders_unfinished", "Orders that still owe something.", [
      "state",
    ]);
    this.#oldest = gauge(
      "piata_orders_unfinished_oldest_seconds",
      "The age of the oldest order that still owes something.",
      ["state"],
    );
    this.#refunds = gauge("piata_refunds_unfinished", "Refunds that are promised and not made.");
    this.#oldestRefund = gauge(
      "piata_refunds_unfinished_oldest_seconds",
      "The age of the oldest refund that is promised and not made.",
    );
    this.#setAside = gauge(
      "piata_orders_set_aside",
      "Orders that nobody works on until somebody has looked at them.",
    );
    this.#countedAt = gauge(
      "piata_orders_counted_timestamp_seconds",
      "When the numbers of orders and refunds were last counted, in seconds since the epoch.",
    );
    this.#counting = this.#count();
    this.#timer = setInterval(() => {
      this.#counting = this.#counting.then(() => this.#count());
    }, EVERY_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#counting;
  }

  async #count(): Promise<void> {
    const { store, log } = this.#options;
    try {
      const [unfinished, setAside] = await Promise.all([
        store.countUnfinished(),
        store.countSetAside(),
      ]);
      this.#show(new Map(unfinished.map((row) => [row.state, row])));
      this.#setAside.set(setAside);
      this.#countedAt.setToCurrentTime();
    } catch (error) {
      log.warn({ reason: (error as Error).message }, "orders could not be counted");
    }
  }

  #show(found: ReadonlyMap<string, Unfinished>): void {
    for (const state of STATES) {
      this.#unfinished.set({ state }, found.get(state)?.count ?? 0);
      this.#oldest.set({ state }, found.get(state)?.oldestSeconds ?? 0);
    }
    this.#refunds.set(found.get("REFUND")?.count ?? 0);
    this.#oldestRefund.set(found.get("REFUND")?.oldestSeconds ?? 0);
  }
}
