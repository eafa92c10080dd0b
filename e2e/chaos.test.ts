// The program that proves the guarantees, on a small scale, and the proof that it would see what is
// wrong.
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { after, before, describe, it, type TestContext } from "node:test";
import type pg from "pg";
import { audit, type Check } from "../chaos/audit.ts";
import { type Books, booksOf, readBooks } from "../chaos/books.ts";
import { FaultyProxy } from "../chaos/proxy.ts";
import { rest } from "../chaos/rest.ts";
import { sameKey } from "../chaos/same-key.ts";
import { faultText, type Plan, planFaults } from "../chaos/schedule.ts";
import { type Storm, storm } from "../chaos/storm.ts";
import { System } from "../chaos/system.ts";

const REST_MS = 60_000;
const replicas = { order: 2 };
const plan: Plan = { seed: 7, orders: 100, kills: 3, replicas, hasProxies: true };

/** What is wrong, whose books say so, how it came, and what is to be said of it. */
const CORRUPTIONS: readonly [wrong: string, service: string, sql: string, expected: RegExp][] = [
  [
    "a unit was sold twice",
    "catalog",
    `update stock set sold = sold + 1
      where product_id = (select product_id from stock where sold > 0 limit 1)`,
    /^product \d+: \d+ sold, \d+ in PAID orders$/,
  ],
  [
    "a unit has vanished",
    "catalog",
    `update stock set available = available - 1
      where product_id = (select product_id from stock where available > 1 limit 1)`,
    /^product \d+ began with \d+ and has/,
  ],
  [
    "a unit stayed held",
    "catalog",
    `update stock set held = 1, available = available - 1
      where product_id = (select product_id from stock where available > 1 limit 1)`,
    /^1 of product \d+ are held$/,
  ],
  [
    "the provider charged twice",
    "payment",
    `insert into sandbox.ledger (key, state, amount_minor, currency_code, decline_reason)
     select key || '-again', state, amount_minor, currency_code, decline_reason
       from sandbox.ledger where state = 'CHARGED' limit 1`,
    /^order \d+ \(trace \w+\) was charged 2 times$/,
  ],
  [
    "the provider charged another amount",
    "payment",
    `update sandbox.ledger set amount_minor = amount_minor + 1
      where key = (select key from sandbox.ledger where state = 'CHARGED' limit 1)`,
    /^order \d+ .* costs \d+ and was charged \d+$/,
  ],
  [
    "a declined card was charged",
    "payment",
    `update sandbox.ledger set state = 'CHARGED', decline_reason = ''
      where key = (select key from sandbox.ledger where state = 'DECLINED' limit 1)`,
    /^order \d+ .* is PAYMENT_FAILED and was charged/,
  ],
  [
    "a charge is not in our books",
    "payment",
    `update payments set state = 'CHARGING'
      where order_id = (select order_id from payments where state = 'CHARGED' limit 1)`,
    /is PAID and was not charged$/,
  ],
  [
    "the provider gave money back that we know nothing of",
    "payment",
    `insert into sandbox.refunds (key, refund_key, amount_minor, state, refusal_reason)
     select key, 'stray', 1, 'REFUNDED', '' from sandbox.ledger where state = 'CHARGED' limit 1`,
    /^order \d+ .*: \d+ refunded by the order, \d+ by us, \d+ by the provider$/,
  ],
  [
    "a refund was made that nobody asked for",
    "payment",
    `insert into refunds (order_id, refund_key, amount_minor, state)
     select order_id, 'stray', 1, 'REFUNDED' from payments where state = 'CHARGED' limit 1`,
    /^order \d+ .*: nobody asked for refund stray$/,
  ],
  [
    "a paid order was lost",
    "order",
    "delete from orders where id = (select id from orders where state = 'PAID' limit 1)",
    /^order \d+ was acknowledged for key \S+ and is not there$/,
  ],
  [
    "an order was made twice",
    "order",
    `insert into orders (user_id, state, payment_method, lines, total_minor, currency_code, trace_id)
     select user_id, state, payment_method, lines, total_minor, currency_code, trace_id
       from orders where state = 'PAID' limit 1`,
    /^order \d+ .* belongs to no key$/,
  ],
  [
    "a key was given to another order",
    "order",
    `update idempotency_keys
        set order_id = (select max(order_id) from idempotency_keys)
      where order_id = (select min(order_id) from idempotency_keys)`,
    /^order \d+ .* (belongs to 2 keys|belongs to no key)$/,
  ],
  [
    "an order is stuck",
    "order",
    `update orders set state = 'APPROVED', next_try_at = now()
      where id = (select id from orders where state = 'PAID' limit 1)`,
    /^order \d+ .* is APPROVED and not at rest$/,
  ],
  [
    "an order that was shown as paid failed later",
    "order",
    `update orders set state = 'PAYMENT_FAILED', reason = 'CARD_DECLINED'
      where id = (select id from orders where state = 'PAID' limit 1)`,
    /^order \d+ .* was shown as .*PAID, and is PAYMENT_FAILED$/,
  ],
  [
    // All of them: of one customer it may be unknown whether anything was put into the cart.
    "lines were lost from carts",
    "cart",
    `update carts set lines = '{}' where lines <> '{}'`,
    /^user \d+ put \S+.* of product \d+ into the cart, and 0 are in the cart/,
  ],
  [
    "a checkout was forgotten",
    "cart",
    `update carts set checkouts = '{"1": {"1": 1}}' where user_id = (select min(user_id) from carts)`,
    /^the checkout of order 1 .* is aside in the cart of user \d+$/,
  ],
];

function differences(checks: readonly Check[]): string[] {
  return checks.flatMap((check) => check.differences);
}

describe("a schedule of faults", () => {
  const large = { ...plan, orders: 5_000, kills: 40 };

  it("is the same for the same seed, and another for another", () => {
    assert.deepEqual(planFaults(large), planFaults(large));
    assert.notDeepEqual(planFaults(large), planFaults({ ...large, seed: 8 }));
  });

  it("is in order, kills as often as asked and every program, and lets the run end in peace", () => {
    const faults = planFaults(large);
    const points = faults.map(({ after: point }) => point);
    assert.deepEqual(
      points,
      points.toSorted((one, other) => one - other),
    );
    assert.ok(points.every((point) => point > 0 && point < large.orders));
    const killed = faults.filter(({ kind }) => kind === "kill").map(({ target }) => target);
    assert.equal(killed.length, large.kills);
    const programs = ["access", "cart", "catalog", "discovery", "gateway", "order", "payment"];
    assert.deepEqual([...new Set(killed)].sort(), [...programs, "postgres"]);
    assert.match(faultText(faults[0] ?? assert.fail()), /^after +\d+ orders: \w+/);
  });

  it("has no faults of wires where there are no proxies", () => {
    const kinds = new Set(planFaults({ ...large, hasProxies: false }).map(({ kind }) => kind));
    assert.deepEqual([...kinds].sort(), ["kill", "pause"]);
  });
});

describe("a proxy between services", () => {
  /** A server that answers each line with itself, what it has heard, and a connection to it. */
  async function echo(t: TestContext) {
    const heard: string[] = [];
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => socket.destroy());
      socket.on("data", (chunk) => {
        heard.push(chunk.toString());
        socket.write(chunk);
      });
      socket.on("end", () => socket.end());
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    const proxy = await FaultyProxy.listen(1, async () => ({ host: "127.0.0.1", port }));
    t.after(async () => {
      await proxy.close();
      server.close();
    });
    const dial = () => {
      const [host = "", dialled] = proxy.addresses[0]?.split(":") ?? [];
      const socket = connect(Number(dialled), host);
      socket.on("error", () => undefined);
      return socket;
    };
    return { proxy, heard, dial };
  }

  // However: a reset is an end, too.
  const closed = (socket: Socket) => new Promise((resolve) => socket.once("close", resolve));

  it("passes on what comes, in its order, also when it is late", async (t) => {
    const { proxy, dial } = await echo(t);
    const socket = dial();
    const start = performance.now();
    const late = proxy.delay(100, 150);
    for (let line = 0; line < 100; line += 1) socket.write(`${line}\n`);
    socket.end();
    const answer = (await socket.toArray()).join("");
    assert.equal(answer, Array.from({ length: 100 }, (_, line) => `${line}\n`).join(""));
    assert.ok(performance.now() - start >= 100);
    await late;
  });

  it("cuts connections, and refuses new ones for a while", async (t) => {
    const { proxy, dial } = await echo(t);
    const socket = dial();
    socket.write("before");
    await once(socket, "data");
    const ended = closed(socket);
    const cut = proxy.cut(100);
    await ended;
    await closed(dial());
    await cut;
    const again = dial();
    again.write("after");
    assert.equal(String((await once(again, "data"))[0]), "after");
    again.destroy();
  });

  it("loses answers of what was done, and then the connection", async (t) => {
    const { proxy, heard, dial } = await echo(t);
    const socket = dial();
    let answer = "";
    socket.on("data", (chunk) => (answer += chunk));
    await once(socket, "connect");
    const dropping = proxy.dropAnswers(100);
    socket.write("do it");
    await closed(socket);
    await dropping;
    assert.deepEqual([heard, answer], [["do it"], ""]);
  });
});

describe("a shop that is killed, paused and cut off while people buy", () => {
  let system: System;
  let result: Storm;
  let books: Books;

  before(async () => {
    system = await System.start({ replicas, hasProxies: true });
    result = await storm(
      system,
      { ...plan, clients: 16, secondsMax: 100 },
      // In the output of a test that fails, to be replayed.
      (text) => console.log(`seed ${plan.seed}, ${text}`),
    );
    await rest(system, REST_MS);
    books = await readBooks(system.shop);
  });

  after(() => system?.stop({ keep: false }));

  it("loses nothing, does nothing twice, and sells nothing that is not there", () => {
    assert.deepEqual(differences(audit(books, result.journal)), []);
    assert.equal(result.journal.acknowledged, plan.orders);
    assert.equal(result.isOutOfTime, false);
    assert.equal(result.disturbances.length, planFaults(plan).length);
  });

  for (const [wrong, service, sql, expected] of CORRUPTIONS) {
    it(`is found out when ${wrong}`, async () => {
      const corrupted = await withCorruption(service, sql);
      const found = differences(audit(corrupted, result.journal));
      assert.ok(
        found.some((text) => expected.test(text)),
        `${expected} is not among:\n${found.join("\n")}`,
      );
    });
  }

  it("makes one order of 100 calls with one key, whatever answers are lost", async () => {
    const { checks, journal } = await sameKey(system, { seed: plan.seed, rounds: 2, atOnce: 100 });
    assert.deepEqual(differences(checks), []);
    assert.equal(new Set(journal.purchases.flatMap(({ orderIds }) => orderIds)).size, 2);
  });

  /** The books as they would be after a change, which is then undone. */
  async function withCorruption(service: string, sql: string): Promise<Books> {
    const services = ["order", "catalog", "cart", "payment"];
    const clients = new Map<string, pg.Client>();
    for (const name of services) clients.set(name, await system.database(name));
    const client = (name: string) => clients.get(name) as pg.Client;
    try {
      await client(service).query("begin");
      const { rowCount } = await client(service).query(sql);
      assert.ok(rowCount !== 0, "the corruption changed something");
      return await booksOf(async (name, query) => (await client(name).query(query)).rows);
    } finally {
      await client(service).query("rollback");
      await Promise.all(services.map((name) => client(name).end()));
    }
  }
});
