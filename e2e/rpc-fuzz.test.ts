// Whatever bytes arrive at an RPC, from whoever may call it: an answer, or an error that the
// documents have; nothing falls over, nothing leaks, and the books agree afterwards.
//
// A failure prints what repeats it: PIATA_FUZZ='{"path":"…","seed":…,"replay":"…"}'.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { OrderState } from "@piata/contracts/order";
import { as } from "@piata/testkit/identity";
import { isAlive } from "@piata/testkit/shop";
import { until } from "@piata/testkit/until";
import fc from "fast-check";
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
import { judge } from "./rpc-fuzz-verdict.ts";

const isLong = process.env.PIATA_TEST_LONG === "1";
const MESSAGES = isLong ? 100_000 : 3_000;
/** After this part of the messages, memory is what it is going to be. */
const WARM_UP = 0.3;
const GROWTH_MIB_MAX = 128;

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

  it("has logged nothing of a bug", () => {
    for (const [name, { output }] of Object.entries(services.running)) {
      const bugs = output()
        .split("\n")
        .filter((line) => line.includes('"level":"error"') || line.includes('"level":50'));
      assert.deepEqual(bugs.slice(0, 3), [], name);
    }
  });

  it("keeps its memory", { skip: process.platform !== "linux" || repeat !== undefined }, () => {
    const mib: Record<string, number> = services.residentMib() ?? {};
    console.log(`MiB after the warm-up ${JSON.stringify(Object.fromEntries(warm))}`);
    console.log(`MiB after it all ${JSON.stringify(mib)}`);
    for (const [name, now] of Object.entries(mib)) {
      assert.ok(now - (warm.get(name) ?? 0) < GROWTH_MIB_MAX, `${name} grew to ${now} MiB`);
    }
  });

  it("serves an honest customer as if nothing had been", async () => {
    const { user, access, catalog, cart, order } = clients;
    const secret = { email: "honest@example.com", password: "quite an honest secret" };
    const { user: me } = await user.registerUser(secret, patiently());
    const userId = me?.id ?? 0;
    const { tokens } = await access.login(secret, patiently());
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
});
