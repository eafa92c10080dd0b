import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PaymentServiceService } from "@piata/contracts/payment";
import { coalesce } from "./coalesce.js";
import { failedPrecondition } from "./errors.js";
import { Metrics } from "./metrics.js";
import { Channel } from "./rpc-client.js";
import { charged, chargeItem, gate, serve, soon } from "./trial.js";

async function shownBy(metrics: Metrics, name: string, labels: Record<string, string>) {
  const { values } = (await metrics.registry.getSingleMetric(name)?.get()) ?? { values: [] };
  return values.find((value) =>
    Object.entries(labels).every(([label, wanted]) => value.labels[label] === wanted),
  )?.value;
}

describe("the metrics of a program", () => {
  it("show what waits at a coalescer, and for how long, when they are asked for", async () => {
    const metrics = new Metrics("trial");
    const answer = gate();
    const ask = coalesce<number, number>({
      ...metrics.batches("trial.ask"),
      maxInFlight: () => 1,
      maxItems: 1,
      maxWaiting: 7,
      send: async (items) => {
        await answer.promise;
        return items;
      },
    });
    const shown = (name: string) => shownBy(metrics, name, { batch: "trial.ask" });
    assert.deepEqual(
      [await shown("piata_queue_items"), await shown("piata_queue_oldest_seconds")],
      [0, 0],
    );
    const asked = [1, 2, 3].map(ask);
    assert.equal(await shown("piata_queue_items"), 3);
    assert.equal(await shown("piata_queue_limit_items"), 7);
    assert.ok(((await shown("piata_queue_oldest_seconds")) ?? 0) > 0);
    answer.resolve();
    assert.deepEqual(await Promise.all(asked), [1, 2, 3]);
    assert.equal(await shown("piata_queue_items"), 0);
  });

  it("count calls at both ends, by the service that was asked and the code", async (t) => {
    const trial = await serve({
      batchCharge: async ({ items }) => {
        if (items[0]?.orderId === 2) throw failedPrecondition("NOT_NOW", "Not now.");
        return { results: [charged] };
      },
    });
    t.after(() => trial.close());
    const metrics = new Metrics("caller");
    const channel = new Channel({
      service: "payment",
      target: trial.address,
      caller: "test",
      metrics,
    });
    t.after(() => channel.close());
    const client = channel.client(PaymentServiceService);
    await client.batchCharge({ items: [chargeItem(1)] }, soon());
    await assert.rejects(client.batchCharge({ items: [chargeItem(2)] }, soon()));
    const method = "piata.payment.v1.PaymentService/BatchCharge";
    for (const code of ["OK", "FAILED_PRECONDITION"]) {
      const made = { service: "payment", method, code };
      assert.equal(await shownBy(metrics, "piata_calls_total", made), 1);
      assert.equal(await shownBy(trial.metrics, "piata_answered_total", { method, code }), 1);
    }
  });
});
