import { OrderServiceService } from "@piata/contracts/order";
import { migrate } from "@piata/kit/migrate";
import { Passports } from "@piata/kit/passport";
import { Database } from "@piata/kit/pg";
import { defineProgram, type Start } from "@piata/kit/program";
import { openPublicKeys } from "@piata/kit/public-keys";
import { run } from "@piata/kit/run";
import { inJob } from "@piata/kit/tracing";
import { Worker } from "@piata/kit/worker";
import { Census } from "./census.js";
import { Checkout } from "./checkout.js";
import { settings } from "./config.js";
import { OrderHandlers, REFUND_WORKER } from "./handlers.js";
import type { Order } from "./order.js";
import { participants } from "./participants.js";
import { Place } from "./place.js";
import { type RefundJob, Refunds } from "./refund.js";
import { RefundStore } from "./refund-store.js";
import { OrderStore } from "./store.js";

const UPKEEP_MS = 30_000;

const start: Start<typeof settings> = async ({ config, log, metrics, connect, onStop }) => {
  const { databaseUrl, leaseMs, paymentLimitMs, openMax } = config;
  await migrate(databaseUrl, new URL("../migrations/", import.meta.url));
  const db = new Database(databaseUrl, { program: "order", metrics });
  onStop(() => db.close());
  const store = new OrderStore(db, { metrics, leaseMs });
  const asked = participants(
    {
      cart: connect("cart", config.cartTarget),
      catalog: connect("catalog", config.catalogTarget),
      payment: connect("payment", config.paymentTarget),
    },
    metrics,
  );
  const checkout = new Checkout({ orders: store, participants: asked, log, paymentLimitMs });
  const worker = new Worker<Order>({
    name: "checkout",
    log,
    claim: (limit) => store.claim(limit),
    work: (order) => inJob("checkout", order.traceId, () => checkout.run(order)),
  });
  onStop(() => worker.stop());
  const refundStore = new RefundStore(db, leaseMs);
  const refunds = new Refunds({ store: refundStore, participants: asked, log });
  const refundWorker = new Worker<RefundJob>({
    name: "refunds",
    log,
    claim: (limit) => refundStore.claim(limit),
    work: (job) => inJob("refund", job.traceId, () => refunds.run(job)),
    idleMs: 1_000,
  });
  onStop(() => refundWorker.stop());
  const census = new Census({ store, metrics, log });
  onStop(() => census.stop());
  const upkeep = setInterval(async () => {
    try {
      await store.dropOldKeys();
    } catch (error) {
      log.warn({ err: error }, "upkeep failed");
    }
  }, UPKEEP_MS);
  onStop(() => clearInterval(upkeep));
  const place = new Place({ store, participants: asked, checkout, worker, log, openMax });
  const passports = new Passports(await openPublicKeys(config.publicKeysFile), log);
  return {
    services: { "piata.order.v1.OrderService": OrderServiceService },
    passports,
    controllers: [OrderHandlers],
    providers: [
      { provide: OrderStore, useValue: store },
      { provide: Place, useValue: place },
      { provide: RefundStore, useValue: refundStore },
      { provide: REFUND_WORKER, useValue: refundWorker },
    ],
  };
};

export const order = defineProgram("order", settings, start);

if (import.meta.main) await run(order);
