import { PaymentServiceService } from "@piata/contracts/payment";
import { migrate } from "@piata/kit/migrate";
import { Database } from "@piata/kit/pg";
import { run } from "@piata/kit/run";
import { Payments } from "./charge.js";
import { type ProviderName, settings } from "./config.js";
import { PaymentHandlers } from "./handlers.js";
import type { Provider } from "./provider.js";
import { Sandbox } from "./sandbox.js";
import { PaymentStore } from "./store.js";

await run("payment", settings, async ({ config, log, onStop }) => {
  const { databaseUrl, answerWithinMs, providerTimeoutMs, attemptsMax, sandboxSlowMs } = config;
  await migrate(databaseUrl, new URL("../migrations/", import.meta.url));
  const db = new Database(databaseUrl, { program: "payment" });
  onStop(() => db.close());

  const open: Record<ProviderName, () => Provider> = {
    sandbox() {
      log.warn("the payment provider is the sandbox: no money is taken");
      const ledger = new Database(databaseUrl, { program: "payment-sandbox", connectionsMax: 4 });
      onStop(() => ledger.close());
      return new Sandbox(ledger, { slowMs: sandboxSlowMs });
    },
  };
  const payments = new Payments({
    store: new PaymentStore(db),
    provider: open[config.provider](),
    log,
    answerWithinMs,
    providerTimeoutMs,
    attemptsMax,
  });
  onStop(() => payments.stop());
  return {
    services: { "piata.payment.v1.PaymentService": PaymentServiceService },
    controllers: [PaymentHandlers],
    providers: [{ provide: Payments, useValue: payments }],
  };
});
