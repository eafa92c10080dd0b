import { PaymentServiceService } from "@piata/contracts/payment";
import { migrate } from "@piata/kit/migrate";
import { Database } from "@piata/kit/pg";
import { defineProgram, type Start } from "@piata/kit/program";
import { run } from "@piata/kit/run";
import { Gauge } from "prom-client";
import { Payments } from "./charge.js";
import { type ProviderName, settings } from "./config.js";
import { leaseMsFor, Refunds } from "./give-back.js";
import { PaymentHandlers } from "./handlers.js";
import type { Provider } from "./provider.js";
import { Reconciler } from "./reconcile.js";
import { RefundStore } from "./refund-store.js";
import { Sandbox } from "./sandbox.js";
import { PaymentStore } from "./store.js";

const start: Start<typeof settings> = async ({ config, log, metrics, onStop }) => {
  const { databaseUrl, answerWithinMs, providerTimeoutMs, attemptsMax, sandboxSlowMs } = config;
  await migrate(databaseUrl, new URL("../migrations/", import.meta.url));
  const db = new Database(databaseUrl, { program: "payment", metrics });
  onStop(() => db.close());

  const open: Record<ProviderName, () => Provider> = {
    sandbox() {
      log.warn("the payment provider is the sandbox: no money is taken");
      const ledger = new Database(databaseUrl, {
        program: "payment-sandbox",
        connectionsMax: 4,
        metrics,
      });
      onStop(() => ledger.close());
      return new Sandbox(ledger, { metrics, slowMs: sandboxSlowMs });
    },
  };
  const provider = open[config.provider]();
  const store = new PaymentStore(db, metrics);
  const refundStore = new RefundStore(db, { metrics, leaseMs: leaseMsFor(providerTimeoutMs) });
  const asking = { provider, log, answerWithinMs, providerTimeoutMs, attemptsMax };
  const payments = new Payments({ ...asking, store });
  const refunds = new Refunds({ ...asking, store: refundStore });
  const gauge = new Gauge({
    name: "piata_reconciliation_differences",
    help: "Differences between our book and the payment provider's, found by the last round.",
    registers: [metrics.registry],
  });
  const reconciler = new Reconciler({
    payments: store,
    refunds: refundStore,
    provider,
    log,
    providerTimeoutMs,
    everyMs: config.reconcileSeconds * 1_000,
    ageMs: config.reconcileAgeSeconds * 1_000,
    observe: (differences) => gauge.set(differences),
  });
  onStop(async () => {
    await Promise.all([payments.stop(), refunds.stop(), reconciler.stop()]);
  });
  return {
    services: { "piata.payment.v1.PaymentService": PaymentServiceService },
    controllers: [PaymentHandlers],
    providers: [
      { provide: Payments, useValue: payments },
      { provide: Refunds, useValue: refunds },
      { provide: Reconciler, useValue: reconciler },
    ],
  };
};

export const payment = defineProgram("payment", settings, start);

if (import.meta.main) await run(payment);
