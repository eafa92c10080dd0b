import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openLog } from "@piata/kit/log";
import { Metrics } from "@piata/kit/metrics";
import { statement } from "@piata/kit/pg";
import { until } from "@piata/testkit/until";
import { Census } from "./census.js";
import { type OrderDatabase, openDatabase } from "./fixture.js";
import { OrderStore, type Unfinished } from "./store.js";

const silent = openLog("census-test", "error", { write: () => undefined });
const PLACE = statement(
  "test_place",
  `insert into orders (user_id, state, payment_method, trace_id, created_at, next_try_at,
                       set_aside_reason, total_minor, currency_code)
   select 1, state, '', '', now() - age, next_try_at, set_aside_reason, 100, 'EUR'
     from (values ('CREATED', interval '10 minutes', now(), ''),
                  ('CREATED', interval '1 minute', now(), ''),
                  ('APPROVED', interval '2 hours', null::timestamptz, 'SOME_REASON'),
                  ('PAID', interval '3 hours', null, ''),
                  ('PAID', interval '30 seconds', now(), ''))
          as o (state, age, next_try_at, set_aside_reason)
   returning id`,
);
const PROMISE = statement(
  "test_promise",
  `insert into refunds (order_id, refund_key, amount_minor, state, trace_id, created_at, next_try_at)
   values ($1, 'open', 1, 'REQUESTED', '', now() - interval '5 minutes', now()),
          ($1, 'made', 1, 'REFUNDED', '', now() - interval '5 days', null)`,
);

describe("the census of orders", () => {
  let database: OrderDatabase;
  let metrics: Metrics;
  before(async () => {
    database = await openDatabase();
  });
  after(() => database.drop());

  /** The value of a metric, by its state if it has one. */
  const value = async (name: string, state?: string) => {
    const { values } = (await metrics.registry.getSingleMetric(name)?.get()) ?? { values: [] };
    return values.find(({ labels }) => state === undefined || labels.state === state)?.value;
  };
  const assertAge = (age: number | undefined, seconds: number) =>
    assert.ok(age !== undefined && age >= seconds && age < seconds + 60, `${age} s`);

  it("counts what is unfinished by state, with the age of the oldest", async (t) => {
    const placed = await database.db.rows<{ id: number }>(PLACE);
    await database.db.rows(PROMISE, [placed.at(-1)?.id]);
    metrics = new Metrics("census-test");
    const store = new OrderStore(database.db, { metrics, leaseMs: 1_000 });
    const census = new Census({ store, metrics, log: silent });
    t.after(() => census.stop());
    await until(async () => ((await value("piata_orders_counted_timestamp_seconds")) ?? 0) > 0);
    const counts = [];
    for (const state of ["INTENT", "ABANDONED", "CREATED", "APPROVED", "PAID"]) {
      counts.push(await value("piata_orders_unfinished", state));
    }
    assert.deepEqual(counts, [0, 0, 2, 0, 1]);
    assertAge(await value("piata_orders_unfinished_oldest_seconds", "CREATED"), 600);
    assertAge(await value("piata_orders_unfinished_oldest_seconds", "PAID"), 30);
    assert.equal(await value("piata_orders_unfinished_oldest_seconds", "APPROVED"), 0);
    assert.equal(await value("piata_orders_set_aside"), 1);
    assert.equal(await value("piata_refunds_unfinished"), 1);
    assertAge(await value("piata_refunds_unfinished_oldest_seconds"), 300);
  });

  it("shows by its time that it could not count", async () => {
    metrics = new Metrics("census-test");
    const lines: string[] = [];
    const census = new Census({
      store: {
        countUnfinished: () => Promise.reject<Unfinished[]>(new Error("away")),
        countSetAside: async () => 0,
      },
      metrics,
      log: openLog("census-test", "warn", { write: (line) => lines.push(line) }),
    });
    await census.stop();
    assert.equal(lines.length, 1);
    assert.equal(await value("piata_orders_counted_timestamp_seconds"), 0);
  });
});
