/** What every program counts, in Prometheus' terms. */
import type { Server } from "node:http";
import { Counter, collectDefaultMetrics, Histogram, Registry } from "prom-client";

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const ITEMS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** The counters of one program; /metrics shows them. */
export class Metrics {
  readonly registry = new Registry();
  /** Calls and requests answered, by method and code. */
  readonly answered = new Counter({
    name: "piata_answered_total",
    help: "Calls and requests answered.",
    labelNames: ["method", "code"],
    registers: [this.registry],
  });
  readonly seconds = new Histogram({
    name: "piata_answer_seconds",
    help: "How long an answer took.",
    labelNames: ["method"],
    buckets: SECONDS,
    registers: [this.registry],
  });
  readonly batchItems = new Histogram({
    name: "piata_batch_items",
    help: "Items per batch that the coalescer sent.",
    labelNames: ["batch"],
    buckets: ITEMS,
    registers: [this.registry],
  });

  /** Begun and not answered yet; health checks are no calls. */
  callsInProgress = 0;
  /** Since the start. */
  callsAnswered = 0;

  constructor(program: string) {
    this.registry.setDefaultLabels({ program });
    collectDefaultMetrics({ register: this.registry });
  }

  answer(method: string, code: string, startMs: number): void {
    this.answered.inc({ method, code });
    this.seconds.observe({ method }, (performance.now() - startMs) / 1000);
    if (!isHealthCheck(method)) this.callsAnswered += 1;
  }

  /** Counts the requests of an HTTP server as calls in progress. */
  countRequests(server: Server): void {
    server.on("request", (_, response) => {
      this.callsInProgress += 1;
      response.once("close", () => {
        this.callsInProgress -= 1;
      });
    });
  }
}

/** Whether a call only asks if we serve. */
export const isHealthCheck = (method: string): boolean => method.startsWith("grpc.health.");
