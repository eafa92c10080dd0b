// Whatever bytes arrive at an RPC, from whoever may call it: an answer, or an error that the
// documents have; nothing falls over, nothing leaks, and the books agree afterwards.
//
// A failure prints what repeats it: PIATA_FUZZ='{"path":"…","seed":…,"replay":"…"}'.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { OrderState } from "@piata/contracts/order";
import type { ReconcileResponse } from "@piata/contracts/payment";
import { as } from "@piata/testkit/identity";
import { isAlive } from "@piata/testkit/shop";
import { until } from "@piata/testkit/until";
import fc from "fast-check";
import { MESSAGE_BYTES_MAX, post, TRANSPORT_FAULTS } from "./rpc-fuzz-http2.ts";
import { type Lane, lanes, type Shot } from "./rpc-fuzz-lane.ts";
import {
  type HonestClients,
  honestClients,
  type Known,
  offer,
  patiently,
  populate,
  type Services,
  startServices,
} from "./rpc-fuzz-shop.ts";
import { judge, leakIn } from "./rpc-fuzz-verdict.ts";

const isLong = process.env.PIATA_TEST_LONG === "1";
const MESSAGES = isLong ? 100_000 : 3_000;
/** After this part of the messages, memory is what it is going to be. */
const WARM_UP = 0.3;
const GROWTH_MIB_MAX = 128;

/** Products of which more or fewer units are held or sold than the orders' reservations say. */
const STOCK_DIFFERENCES = `
  with lines as (
    select (line ->> 'productId')::integer as id, (line ->> 'quantity')::integer as units, state
      from reservations, jsonb_array_elements(lines) as line
  ), told as (
    select id, sum(units) filter (where state = 'HELD') as held,
           sum(units) filter (where state = 'SOLD') as sold
      from lines group by id
  )
  select stock.* from stock left join told on told.id = product_id
   where available < 0 or stock.held <> coalesce(told.held, 0)
      or stock.sold <> coalesce(told.sold, 0)`;

interface Repeat {
  path: string;
  seed: number;
  replay: string;
}

const repeat = process.env.PIATA_FUZZ ? (JSON.parse(process.env.PIATA_FUZZ) as Repeat) : undefined;
const SEED = repeat?.seed ?? (isLong ? Date.now() % 2 ** 31 : 5);

describe("the RPCs under fuzz", () => {
  let services: Services;
  let clients: HonestClients;
  let known: Known;
  let sent = 0;
  const reasons = new Map<string, number>();
  const warm = new Map<string, number>();

  before(async () => {
    services = await startServices();
    clients = honestClients(services);
    known = await populate(clients);
  });
  after(async () => {
    clients.close();
    await services.stop();
  });

  const assertAlive = () => {
    for (const [name, { pid, output }] of Object.entries(services.running)) {
      assert.ok(isAlive(pid), `${name} died:\n${output().slice(-2_000)}`);
    }
  };

  async function shoot(lane: Lane, { caller, bytes }: Shot): Promise<void> {
    const { path, service, streams, decode } = lane;
    const outcome = await services.raw[service].call(path, caller, bytes, streams);
    const { reasons: given, fault } = judge(outcome, decode);
    for (const reason of given) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    sent += 1;
    if (sent === Math.round(MESSAGES * WARM_UP)) {
      for (const [name, mib] of Object.entries(services.residentMib() ?? {})) warm.set(name, mib);
    }
    if (fault) throw new Error(`${path}: ${fault}`);
  }

  async function run(lane: Lane, numRuns: number, seed: number): Promise<string | undefined> {
    const property = fc.asyncProperty(lane.shots, (shot) => shoot(lane, shot));
    const { failed, counterexample, counterexamplePath, errorInstance } = await fc.check(property, {
      numRuns,
      seed,
      ...(repeat && { path: repeat.replay, endOnFailure: true }),
    });
    if (!failed) return undefined;
    const how = JSON.stringify({ path: lane.path, seed, replay: counterexamplePath });
    const what = fc.stringify(counterexample);
    return `${String(errorInstance)}\n  PIATA_FUZZ='${how}'\n  ${what}`;
  }

  it(`answers ${MESSAGES} messages with what the documents say`, async () => {
    const all = lanes(known).filter(({ path }) => !repeat || path === repeat.path);
    const shares = all.reduce((sum, { share }) => sum + share, 0);
    const startMs = performance.now();
    const failures = await Promise.all(
      all.map((lane, index) =>
        run(lane, Math.ceil((MESSAGES * lane.share) / shares), repeat?.seed ?? SEED + index),
      ),
    );
    const seconds = (performance.now() - startMs) / 1_000;
    const found = failures.filter((failure) => failure !== undefined);
    assert.equal(found.length, 0, found.join("\n"));
    assertAlive();
    console.log(
      `${sent} fuzzed gRPC messages to ${all.length} RPCs in ${seconds.toFixed(1)} s, seed ${SEED}`,
    );
    console.log([...reasons].sort(([a], [b]) => a.localeCompare(b)).map((pair) => pair.join(" ")));
  });

  it("keeps its memory", { skip: process.platform !== "linux" || repeat !== undefined }, () => {
    const mib: Record<string, number> = services.residentMib() ?? {};
    console.log(`MiB after the warm-up ${JSON.stringify(Object.fromEntries(warm))}`);
    console.log(`MiB after it all ${JSON.stringify(mib)}`);
    for (const [name, now] of Object.entries(mib)) {
      assert.ok(now - (warm.get(name) ?? 0) < GROWTH_MIB_MAX, `${name} grew to ${now} MiB`);
    }
  });

  it("answers what is no call at all with gRPC's own errors", async () => {
    const answering = lanes(known).filter(({ streams }) => !streams);
    const unary = new Map(answering.map((lane) => [lane.service, lane]));
    for (const [name, { path, caller }] of unary) {
      const { address } = services.running[name];
      for (const [what, { verdict, ...wrong }] of Object.entries(TRANSPORT_FAULTS)) {
        const heard = await post(address, { path, caller, ...wrong });
        assert.equal(heard.verdict, verdict, `${name}: ${what}`);
        assert.equal(leakIn(heard.message), undefined, `${name}: ${what}: ${heard.message}`);
      }
      const tooLarge = Buffer.alloc(MESSAGE_BYTES_MAX + 1);
      const refused = await services.raw[name].call(path, caller, tooLarge);
      assert.equal(refused.code, "RESOURCE_EXHAUSTED");
      const unknown = await services.raw[name].call(`${path}Not`, caller, Buffer.alloc(0));
      assert.equal(unknown.code, "UNIMPLEMENTED");
    }
    assertAlive();
  });

  it("has logged nothing of a bug", () => {
    for (const [name, { output }] of Object.entries(services.running)) {
      const bugs = output()
        .split("\n")
        .filter((line) => line.includes('"level":"error"') || line.includes('"level":50'));
      assert.deepEqual(bugs.slice(0, 3), [], name);
    }
  });

  it("serves an honest customer as if nothing had been", async () => {
    const { user, access, catalog, cart, order } = clients;
    const secret = { email: "honest@example.com", password: "quite an honest secret" };
    const { user: me } = await user.registerUser(secret, patiently());
    const userId = me?.id ?? 0;
    // From elsewhere: of where the guesses came from, no more are checked.
    const client = { address: "203.0.113.9", userAgent: "" };
    const { tokens } = await access.login({ ...secret, client }, patiently());
    assert.ok(tokens);
    const productId = await offer(catalog, userId, 10);
    const item = { ...as(userId), add: { productId, quantity: 3 } };
    await cart.batchChangeCarts({ items: [item] }, patiently());
    const wish = { ...as(userId), paymentMethod: "success", idempotencyKey: "honest" };
    const { results } = await order.batchPlaceOrders({ items: [wish] }, patiently());
    const orderId = results[0]?.orderId ?? 0;
    const paid = await until(async () => {
      const items = [{ ...as(userId), orderId }];
      const { results: orders } = await order.batchGetOrders({ items }, patiently());
      return orders[0]?.order?.state === OrderState.PAID && orders[0].order;
    });
    assert.equal(paid.total?.amountMinor, 2_997);
  });

  it("has books that agree", async () => {
    const { rows } = services;
    await until(
      async () =>
        (await rows("order", "select from orders where next_try_at is not null")).length === 0,
      { timeoutMs: 60_000, what: "the end of every order" },
    );
    assert.deepEqual(await rows("catalog", STOCK_DIFFERENCES), []);
    for (const { id, units } of known.products) {
      const [stock] = await rows(
        "catalog",
        `select (available + held + sold)::integer as units from stock where product_id = ${id}`,
      );
      assert.equal(stock?.units, units);
    }
    const reconcile = "/piata.payment.v1.PaymentService/Reconcile";
    const lane = lanes(known).find(({ path }) => path === reconcile) as Lane;
    await until(async () => {
      const { response } = await services.raw.payment.call(reconcile, "operator", Buffer.alloc(0));
      const { compared, differences } = lane.decode(response as Buffer) as ReconcileResponse;
      return compared > 0 && differences.length === 0;
    });
  });
});
