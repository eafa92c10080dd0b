/** What every program counts, in Prometheus' terms; docs/observability.md lists them. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { TallyCounter, TallyHistogram } from "./tally.js";

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const ITEMS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** What waits at a coalescer. */
export interface Queue {
  readonly items: number;
  readonly itemsMax: number;
  /** How long the first of them has waited; 0 when there is none. */
  readonly oldestMs: number;
}

/** The connections of a pool, as pg counts them. */
export interface Pool {
  readonly totalCount: number;
  readonly idleCount: number;
  readonly waitingCount: number;
  readonly options: { readonly max: number };
}

/** The counters of one program; /metrics shows them. */
export class Metrics {
  readonly registry = new Registry();
  readonly #queues = new Map<string, () => Queue>();
  readonly #pools = new Map<string, Pool>();
  readonly #answered = new TallyCounter({
    name: "piata_answered_total",
    help: "Calls and requests answered.",
    labelNames: ["method", "code"],
    registry: this.registry,
  });
  readonly #seconds = new TallyHistogram({
    name: "piata_answer_seconds",
    help: "How long an answer took.",
    labelNames: ["method"],
    buckets: SECONDS,
    registry: this.registry,
  });
  readonly #calls = new TallyCounter({
    name: "piata_calls_total",
    help: "Calls made to other services.",
    labelNames: ["service", "method", "code"],
    registry: this.registry,
  });
  readonly #callRetries = new Counter({
    name: "piata_call_retries_total",
    help: "Calls that were made again because no instance had answered.",
    labelNames: ["service", "method"],
    registers: [this.registry],
  });
  readonly #callSeconds = new TallyHistogram({
    name: "piata_call_seconds",
    help: "How long a call to another service took.",
    labelNames: ["service", "method"],
    buckets: SECONDS,
    registry: this.registry,
  });
  readonly #batchItems = new TallyHistogram({
    name: "piata_batch_items",
    help: "Items per batch that the coalescer sent.",
    labelNames: ["batch"],
    buckets: ITEMS,
    registry: this.registry,
  });

  /** Begun and not answered yet; health checks are no calls. */
  callsInProgress = 0;
  /** Since the start. */
  callsAnswered = 0;

  /** `ofProcess` for what Node says of the process, which several programs may share. */
  constructor(program: string, { ofProcess = true } = {}) {
    this.registry.setDefaultLabels({ program });
    if (ofProcess) collectDefaultMetrics({ register: this.registry });
    this.#watchQueues();
    this.#watchPools();
  }

  /** A call or request has been answered. */
  answer(method: string, code: string, startMs: number): void {
    this.#answered.add(1, method, code);
    this.#seconds.observe((performance.now() - startMs) / 1000, method);
    this.callsAnswered += 1;
  }

  /** Answers whose time measures nothing: of streams, and of requests that are refused unread. */
  answerUntimed(method: string, code: string, count = 1): void {
    this.#answered.add(count, method, code);
  }

  /** A call to another service is made again. */
  calledAgain(service: string, method: string): void {
    this.#callRetries.inc({ service, method });
  }

  /** A call to another service has ended, after all its attempts. */
  called(service: string, method: string, code: string, startMs: number): void {
    this.#calls.add(1, service, method, code);
    this.#callSeconds.observe((performance.now() - startMs) / 1000, service, method);
  }

  /** The name and the watching of a coalescer: `coalesce({ ...metrics.batches(name), send })`. */
  batches(name: string) {
    return {
      name,
      observe: (items: number) => this.#batchItems.observe(items, name),
      watch: (queue: () => Queue) => {
        this.#queues.set(name, queue);
      },
    };
  }

  /** Shows a pool of database connections. */
  watchPool(name: string, pool: Pool): void {
    this.#pools.set(name, pool);
  }

  #gauge(name: string, help: string, label: string, collect: (gauge: Gauge) => void): void {
    const gauge: Gauge = new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [this.registry],
      collect: () => collect(gauge),
    });
  }

  #watchQueues(): void {
    const each = (name: string, help: string, value: (queue: Queue) => number) =>
      this.#gauge(name, help, "batch", (gauge) => {
        for (const [batch, queue] of this.#queues) gauge.set({ batch }, value(queue()));
      });
    each("piata_queue_items", "Items that wait for a batch.", ({ items }) => items);
    each("piata_queue_limit_items", "Items that may wait for a batch.", ({ itemsMax }) => itemsMax);
    each(
      "piata_queue_oldest_seconds",
      "How long the first item in the queue has waited.",
      ({ oldestMs }) => oldestMs / 1000,
    );
  }

  #watchPools(): void {
    const each = (name: string, help: string, value: (pool: Pool) => number) =>
      this.#gauge(name, help, "pool", (gauge) => {
        for (const [pool, counts] of this.#pools) gauge.set({ pool }, value(counts));
      });
    each(
      "piata_db_connections_used",
      "Database connections in use.",
      ({ totalCount, idleCount }) => totalCount - idleCount,
    );
    each(
      "piata_db_connections_limit",
      "Database connections at most.",
      ({ options }) => options.max,
    );
    each(
      "piata_db_waiting",
      "Statements and transactions that wait for a connection.",
      ({ waitingCount }) => waitingCount,
    );
  }
}
