// docs/permissions.md, cell by cell, on a whole shop.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { Role } from "@piata/contracts/item";
import { didNotRun } from "@piata/testkit/did-not-run";
import { nobody } from "@piata/testkit/identity";
import { type Shop, startShop } from "@piata/testkit/shop";
import { ASKS } from "./asks.ts";
import { Callers, CERTIFIED, health, nameOf, SERVICES, STRANGERS, verdict } from "./callers.ts";
import { Crowd } from "./identities.ts";
import { isOpen, listenersOf, outsideAddresses } from "./listening.ts";
import {
  type Cell,
  HEADINGS,
  Matrix,
  pairs,
  STAFF_SHOP,
  summary,
  type Tables,
  tablesOf,
  wrong,
} from "./matrix.ts";
import { AsGateway, outcome, REQUESTS, soon, unproven } from "./passport-holders.ts";
import {
  type Operation,
  operations,
  permissionsPage,
  type Row,
  tableUnder,
} from "./permission-tables.ts";
import { openStaffShop, type StaffShop } from "./staff-shop.ts";

const SIGN_IN_REQUIRED = "UNAUTHENTICATED / SIGN_IN_REQUIRED";

let shop: Shop;
let crowd: Crowd;
let matrix: Matrix;
let asGateway: AsGateway;
let page: string;
let known: Map<string, Operation>;
let tables: Tables;
/** The page's RPCs, with who may call each and for whom. */
let rpcs: Row[];
let staffShop: StaffShop;

before(async () => {
  page = await permissionsPage();
  known = await operations();
  tables = tablesOf(page);
  rpcs = tableUnder(page, "What a program may call");
  shop = await startShop();
  [crowd, staffShop] = await Promise.all([Crowd.gather(shop), openStaffShop(shop)]);
  matrix = new Matrix({ crowd, tables, operations: known, staffShopUrl: staffShop.url });
  asGateway = await AsGateway.open(shop);
});

after(async () => {
  crowd?.close();
  asGateway?.close();
  await staffShop?.stop();
  await shop?.stop();
});

describe("docs/permissions.md", () => {
  it("has every operation of the schema, and no other", () => {
    const rows = tables.own.map(({ operation = "" }) => operation);
    const ofStaffShop = rows.filter((operation) => operation.endsWith(`, ${STAFF_SHOP}`));
    const others = rows.filter((operation) => !ofStaffShop.includes(operation));
    assert.deepEqual(others.sort(), [...known.keys()].sort());
    assert.equal(ofStaffShop.length, 2);
    assert.deepEqual(Object.keys(ASKS).sort(), [...known.keys()].sort());
  });

  it("has every operation that names something in the tables of the other things", () => {
    const naming = [...known.values()].filter(({ namesThings }) => namesThings);
    const names = naming.map(({ name }) => name).sort();
    for (const whose of ["another's", "nothing's"] as const) {
      assert.deepEqual(tables[whose].map(({ operation }) => operation).sort(), names, whose);
    }
  });

  it("has every RPC of the protos, and no other", () => {
    const served = Object.values(SERVICES).flatMap((methods) => Object.values(methods).map(nameOf));
    assert.deepEqual(rpcs.map(({ RPC }) => RPC).sort(), served.sort());
  });
});

describe("a user of the shop", () => {
  const done: Partial<Record<keyof Tables, Cell[]>> = {};

  for (const whose of ["another's", "nothing's", "own"] as const) {
    it(`may do what is written: ${HEADINGS[whose].toLowerCase()}`, async () => {
      const cells = await matrix.carryOut(whose);
      assert.deepEqual(wrong(cells), []);
      done[whose] = cells;
      console.log(summary(whose, cells));
    });
  }

  it("is told of another's what is told of nothing, word by word", () => {
    const compared = pairs(done["another's"] ?? [], done["nothing's"] ?? []);
    for (const [theirs, nothings] of compared) assert.equal(theirs, nothings);
    assert.ok(compared.length > 0);
    console.log(`${compared.length} errors about another's and about nothing: the same words`);
  });

  it("is told so as fast", async () => {
    const { client } = crowd.the("other customer");
    const document = known.get("orderStatus")?.document as string;
    const msOf = async (orderId: number) => {
      const startMs = performance.now();
      await client.graphql(document, { orderId });
      return performance.now() - startMs;
    };
    const [theirs, nothings]: [number[], number[]] = [[], []];
    for (let round = 0; round < 50; round += 1) {
      theirs.push(await msOf(crowd.the("customer").paidOrder));
      nothings.push(await msOf(1_900_000_000 + round));
    }
    const [theirMs, nothingMs] = [median(theirs), median(nothings)];
    console.log(`another's order: ${theirMs.toFixed(2)} ms, none: ${nothingMs.toFixed(2)} ms`);
    assert.ok(theirMs < 2 * nothingMs + 5 && nothingMs < 2 * theirMs + 5);
  });
});

const median = (times: number[]): number =>
  times.toSorted((one, other) => one - other)[times.length >> 1] as number;

describe("a program of the shop", () => {
  let callers: Callers;
  before(async () => {
    callers = await Callers.open(shop);
  });
  after(() => callers.close());

  it("may call what is written, and nothing else", async () => {
    const written = new Map(rpcs.map((row) => [row.RPC, row["who may call"] as string]));
    const faults: string[] = [];
    let count = 0;
    const tries = Object.entries(SERVICES).flatMap(([service, methods]) =>
      CERTIFIED.map(async (program) => {
        const client = await callers.of(program, service);
        for (const method of Object.values(methods)) {
          const may = written.get(nameOf(method)) ?? "";
          const isAllowed = may === "every program" || may.split(", ").includes(program);
          const expected = isAllowed ? "ALLOWED" : "PERMISSION_DENIED / CALLER_NOT_ALLOWED";
          const found = await verdict(client, method);
          if (found !== expected) faults.push(`${nameOf(method)}, ${program}: ${found}`);
          count += 1;
        }
        if ((await health(client)) !== "OK") faults.push(`health of ${service}, ${program}`);
      }),
    );
    await Promise.all(tries);
    assert.deepEqual(faults, []);
    console.log(`${count} calls by ${CERTIFIED.length} programs: as written`);
  });

  it("hears nobody who has no certificate of the shop", async () => {
    const faults: string[] = [];
    let count = 0;
    const tries = Object.entries(SERVICES).flatMap(([service, methods]) =>
      STRANGERS.map(async (kind) => {
        const client = await callers.stranger(kind, service);
        for (const method of Object.values(methods)) {
          const found = await verdict(client, method);
          if (found !== "UNHEARD") faults.push(`${nameOf(method)}, ${kind}: ${found}`);
          count += 1;
        }
        if ((await health(client)) !== "UNHEARD") faults.push(`health of ${service}, ${kind}`);
      }),
    );
    await Promise.all(tries);
    assert.deepEqual(faults, []);
    console.log(`${count} calls by ${STRANGERS.length} kinds of strangers: none was heard`);
  });
});

describe("an item of a call", () => {
  it("is for nobody when it does not prove whom it is for", async () => {
    const customer = crowd.the("customer");
    const contexts = await unproven(shop, customer);
    const items = tableUnder(page, "Programs");
    assert.deepEqual(
      items.filter((row) => row["is for"] === "nobody").map((row) => row["an item with"]),
      Object.keys(contexts),
    );
    const forUsers = rpcs.filter((row) => row["for whom"] === "the user of the passport");
    assert.deepEqual(forUsers.map(({ RPC }) => RPC).sort(), Object.keys(REQUESTS).sort());
    const needNone = (page.split("these need none:")[1] ?? "").split(". All others")[0] ?? "";
    let count = 0;
    for (const [name, request] of Object.entries(REQUESTS)) {
      const ask = (context: typeof nobody) => outcome(request(asGateway, context, customer));
      const toNobody = await ask(nobody);
      assert.equal(toNobody === SIGN_IN_REQUIRED, !needNone.includes(`\`${name}\``), name);
      for (const [words, context] of Object.entries(contexts)) {
        assert.equal(await ask(context), toNobody, `${name} with ${words}`);
        count += 1;
      }
    }
    console.log(`${count} requests in a user's name without a good passport: nobody's`);
  });

  it("is for the user of its passport, whomever it names", async () => {
    const [customer, other] = [crowd.the("customer"), crowd.the("other customer")];
    const context = {
      ...nobody,
      userId: customer.userId,
      role: Role.STAFF,
      sessionId: customer.elsewhere.sessionId,
      passport: await asGateway.passportOf(other),
    };
    const { user, cart, order, access } = asGateway;
    assert.equal((await user.getUser({ context }, soon())).user?.id, other.userId);
    const { results } = await cart.batchGetCarts({ items: [{ context }] }, soon());
    assert.equal(results[0]?.cart?.userId, other.userId);
    const { orders } = await order.listOrders({ context, pageSize: 100, pageToken: "" }, soon());
    assert.ok(orders.some(({ id }) => id === other.paidOrder));
    assert.ok(!orders.some(({ id }) => id === customer.paidOrder));
    const { sessions } = await access.listSessions({ context }, soon());
    assert.ok(!sessions.some(({ id }) => id === customer.elsewhere.sessionId));
    for (const [name, expected] of [
      ["OrderService/BatchGetOrders", "NOT_FOUND / ORDER_NOT_FOUND"],
      ["OrderService/CancelOrder", "NOT_FOUND / ORDER_NOT_FOUND"],
      ["AccessService/RevokeSession", "NOT_FOUND / SESSION_NOT_FOUND"],
      ["OrderService/RefundOrder", "PERMISSION_DENIED / STAFF_ONLY"],
      ["OrderService/RetryOrder", "PERMISSION_DENIED / STAFF_ONLY"],
      ["OrderService/ListSetAsideOrders", "PERMISSION_DENIED / STAFF_ONLY"],
    ] as const) {
      assert.equal(
        await outcome(REQUESTS[name]?.(asGateway, context, customer) ?? never()),
        expected,
      );
    }
  });

  it("is judged by itself, also beside others in one call", async () => {
    const [customer, other] = [crowd.the("customer"), crowd.the("other customer")];
    const orderId = customer.paidOrder;
    const passports = [
      await asGateway.passportOf(customer),
      await asGateway.passportOf(other),
      "",
      await asGateway.passportOf(crowd.the("staff")),
    ];
    const items = passports.map((passport) => ({ context: { ...nobody, passport }, orderId }));
    const { results } = await asGateway.order.batchGetOrders({ items }, soon());
    // google.rpc.Code: NOT_FOUND is 5, UNAUTHENTICATED 16.
    assert.deepEqual(
      results.map(({ order, failure }) => failure?.code ?? order?.id),
      [orderId, 5, 16, 5],
    );
  });
});

const never = (): Promise<never> => Promise.reject(new Error("there is no such request"));

describe("the operator's command", () => {
  const script = join(import.meta.dirname, "../scripts/staff.ts");
  const run = (...args: string[]) => promisify(execFile)(process.execPath, [script, ...args]);

  it("makes staff, and customers again, from the next sign-in on", async () => {
    const account = await crowd.newAccount("customer");
    const role = async () => {
      const { client } = await crowd.signIn(account);
      return (await client.ask<{ me: { role: string } }>("{ me { role } }")).me.role;
    };
    assert.equal(await role(), "CUSTOMER");
    await run(account.email, "--data", shop.dataDir);
    assert.equal(await role(), "STAFF");
    await run(account.email, "--customer", "--data", shop.dataDir);
    assert.equal(await role(), "CUSTOMER");
  });

  it("is refused with the certificate of a program", async () => {
    const tls = join(shop.dataDir, "secrets/tls/gateway");
    const { email } = crowd.the("customer").account;
    await assert.rejects(run(email, "--data", shop.dataDir, "--tls", tls), /gateway may not call/);
  });
});

describe("a running shop", () => {
  it("listens on loopback only", async () => {
    const rows = await shop.processes();
    const named = rows.flatMap(({ address, httpAddress }) => [address, httpAddress ?? ""]);
    const ports = new Set(
      [...named, new URL(shop.url).host].filter(Boolean).map((host) => Number(host.split(":")[1])),
    );
    if (process.platform === "linux") {
      const found = (await Promise.all(rows.map(({ pid }) => listenersOf(pid)))).flat();
      assert.deepEqual(
        found.filter(({ isLoopback }) => !isLoopback),
        [],
      );
      const seen = new Set(found.map(({ port }) => port));
      assert.deepEqual(
        [...ports].filter((port) => !seen.has(port)),
        [],
      );
      for (const port of seen) ports.add(port);
    } else didNotRun("a look at every socket that the shop listens on", "this is not Linux");
    const outside = outsideAddresses();
    if (outside.length === 0) didNotRun("calls from outside", "this machine has no other address");
    for (const host of outside) {
      for (const port of ports) assert.equal(await isOpen(host, port), false, `${host}:${port}`);
    }
    console.log(`${ports.size} ports: closed at ${outside.length} addresses outside`);
  });
});
