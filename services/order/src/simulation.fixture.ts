/**
 * One history of the order service: the real steps, run by several processes over a table and
 * participants in memory, with every call in the hands of a seeded scheduler. Calls are lost,
 * unheard, late and doubled; processes die and sleep. The same seed is the same history.
 */
import { type Log, openLog } from "@piata/kit/log";
import { Checkout } from "./checkout.js";
import { Audit } from "./simulation-audit.fixture.js";
import { Customer } from "./simulation-customer.fixture.js";
import { Instance, type World } from "./simulation-instance.fixture.js";
import { type Faults, Network, someFaults } from "./simulation-network.fixture.js";
import { OrderTable } from "./simulation-orders.fixture.js";
import { SimulatedPayments, SimulatedProvider } from "./simulation-payment.fixture.js";
import { Scheduler } from "./simulation-scheduler.fixture.js";
import { PRODUCTS, SimulatedCarts, SimulatedCatalog } from "./simulation-shop.fixture.js";

const RESTART_MAX_MS = 10_000;
const SLEEP_MAX_MS = 120_000;
const AWAY_MAX_MS = 300_000;
const FOR_EVER_MS = Number.POSITIVE_INFINITY;
const FAULTY_EVENTS_MAX = 600;
const HURRY_MAX = 0.1;
const UNITS_MAX = 12;

/** What a mutant has another one of. */
export interface Parts {
  Orders: typeof OrderTable;
  Carts: typeof SimulatedCarts;
  Catalog: typeof SimulatedCatalog;
  Payments: typeof SimulatedPayments;
  Checkout: typeof Checkout;
}

const REAL: Parts = {
  Orders: OrderTable,
  Carts: SimulatedCarts,
  Catalog: SimulatedCatalog,
  Payments: SimulatedPayments,
  Checkout,
};

export interface History {
  seed: number;
  /** What it found wrong; undefined when nothing. */
  wrong: string | undefined;
  /** What happened, in order, for people. */
  trace(): string[];
  events: number;
  /** How each order ended: "PAYMENT_FAILED CARD_DECLINED". */
  ends: string[];
}

/** One history after the other. */
export class Simulator {
  readonly #parts: Parts;
  // Made once, for that takes as long as a history. What the saga logs as an error is one.
  readonly #log = openLog("simulation", "error", { write: (line) => this.#now?.bug(line) });
  #now: Simulation | undefined;

  constructor(parts: Partial<Parts> = {}) {
    this.#parts = { ...REAL, ...parts };
  }

  async run(seed: number): Promise<History> {
    this.#now = new Simulation(seed, this.#parts, this.#log);
    return this.#now.run();
  }
}

class Simulation {
  readonly #seed: number;
  readonly #scheduler: Scheduler;
  readonly #faults: Faults;
  readonly #world: World;
  readonly #audit: Audit;
  readonly #instances: Instance[];
  readonly #customers: Customer[];
  /** With this many events, faults are over. */
  readonly #faultyEvents: number;
  #born = 0;
  #wrong: string | undefined;

  constructor(seed: number, parts: Parts, log: Log) {
    this.#seed = seed;
    const scheduler = new Scheduler(seed);
    this.#scheduler = scheduler;
    this.#faults = someFaults(scheduler);
    this.#faultyEvents = scheduler.below(FAULTY_EVENTS_MAX);
    scheduler.hurry = scheduler.chance(0.5) ? scheduler.random() * HURRY_MAX : 0;
    this.#world = this.#newWorld(parts, log);
    this.#audit = new Audit(this.#world);
    this.#instances = Array.from({ length: 1 + scheduler.below(3) }, () => this.#bear());
    const some = () => scheduler.pick(this.#instances);
    this.#customers = Array.from(
      { length: 1 + scheduler.below(2) },
      (_, index) => new Customer(index + 1, this.#world, some),
    );
  }

  async run(): Promise<History> {
    try {
      this.#begin((customer) => customer.shop());
      await this.#untilRest();
      this.#calm();
      this.#begin((customer) => customer.askAgain());
      await this.#untilRest();
    } catch (error) {
      this.bug(error);
    }
    const { events } = this.#scheduler;
    const trace = () => this.#scheduler.trace();
    const rows = [...this.#world.orders.rows.values()];
    const ends = rows.map(({ state, reason }) => `${state} ${reason}`.trim());
    return { seed: this.#seed, wrong: this.#wrong, trace, events, ends };
  }

  #begin(what: (customer: Customer) => Promise<void>): void {
    for (const customer of this.#customers) {
      what(customer).catch((error) => this.bug(error));
    }
  }

  async #untilRest(): Promise<void> {
    await this.#scheduler.run(() => this.#step());
    this.#wrong ??= this.#audit.atRest(this.#customers);
  }

  /** Before each event: is all well with what the last one did? And what befalls the processes? */
  #step(): boolean {
    if (this.#scheduler.changed) this.#wrong ??= this.#audit.look();
    this.#scheduler.changed = false;
    if (this.#scheduler.events > this.#faultyEvents && !this.#faults.over) {
      this.#calm();
    }
    if (!this.#faults.over) this.#befall();
    return this.#wrong === undefined;
  }

  #calm(): void {
    this.#scheduler.note("no more faults");
    this.#faults.over = true;
    this.#scheduler.hurry = 0;
  }

  #befall(): void {
    const scheduler = this.#scheduler;
    if (scheduler.chance(this.#faults.crash)) {
      const place = scheduler.below(this.#instances.length);
      const victim = this.#instances[place] as Instance;
      if (victim.dead) return;
      victim.die();
      scheduler.note(`${victim.name} dies`);
      const restart = () => {
        this.#instances[place] = this.#bear();
      };
      const delayMs = scheduler.someMs(RESTART_MAX_MS);
      scheduler.later(`${victim.name} is replaced`, restart, { delayMs });
    }
    if (scheduler.chance(this.#faults.sleep)) {
      const sleeper = scheduler.pick(this.#instances);
      const sleepMs = scheduler.someMs(SLEEP_MAX_MS);
      sleeper.awakeAtMs = Math.max(sleeper.awakeAtMs, scheduler.nowMs + sleepMs);
      scheduler.note(`${sleeper.name} sleeps for ${sleepMs} ms`);
    }
  }

  #bear(): Instance {
    this.#born += 1;
    return new Instance(`order-${this.#born}`, this.#world);
  }

  #newWorld(parts: Parts, log: Log): World {
    const scheduler = this.#scheduler;
    const onBug = (error: unknown) => this.bug(error);
    const network = new Network(scheduler, this.#faults, onBug);
    const provider = new SimulatedProvider(scheduler);
    if (scheduler.chance(0.1)) {
      const awayMs = scheduler.chance(0.5) ? scheduler.someMs(AWAY_MAX_MS) : FOR_EVER_MS;
      provider.chargesFromMs = scheduler.nowMs + awayMs;
    }
    const start = new Map(PRODUCTS.map((productId) => [productId, scheduler.below(UNITS_MAX)]));
    return {
      ...{ scheduler, network, provider, log, onBug, Checkout: parts.Checkout },
      orders: new parts.Orders(scheduler, () => this.#claim()),
      carts: new parts.Carts(scheduler),
      catalog: new parts.Catalog(scheduler, start),
      payments: new parts.Payments(scheduler, network, provider),
    };
  }

  #claim(): void {
    const instance = this.#scheduler.pick(this.#instances);
    if (!instance.dead) instance.claim().catch((error) => this.bug(error));
  }

  /** Told of what must not be thrown or logged. */
  bug(error: unknown): void {
    this.#wrong ??= error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}
