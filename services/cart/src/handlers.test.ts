import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { after, before, describe, it } from "node:test";
import {
  type BatchChangeCartsRequest_Item,
  CartServiceService,
  CheckoutState,
} from "@piata/contracts/cart";
import type { Status } from "@piata/contracts/rpc/status";
import { ownContext } from "@piata/kit/context";
import { fromStatus, isFailure } from "@piata/kit/errors";
import type { RpcClient } from "@piata/kit/rpc-client";
import { openClient } from "@piata/kit/trial";
import { createTestDatabase, type TestDatabase } from "@piata/testkit/database";
import { didNotRun } from "@piata/testkit/did-not-run";
import { as } from "@piata/testkit/identity";
import { startMongo } from "@piata/testkit/mongo";
import { type RunningService, startService } from "@piata/testkit/service";
import { oneAtATime } from "./store.one-at-a-time.js";

type Client = RpcClient<CartServiceService>;
type Change = Omit<BatchChangeCartsRequest_Item, "context">;

const soon = () => ownContext(10_000);

const clientOf = ({ address }: RunningService) =>
  openClient({ service: "cart", target: address }, CartServiceService, {
    batchTake: "order",
    batchRestore: "order",
    batchForget: "order",
    batchErase: "access",
  });

const reasonOf = ({ failure }: { failure?: Status | undefined }): string => {
  if (!failure) return "";
  const { code, reason } = fromStatus(failure);
  return `${code} / ${reason}`;
};

const SIGN_IN = "UNAUTHENTICATED / SIGN_IN_REQUIRED";
const NO_LINE = "NOT_FOUND / CART_LINE_NOT_FOUND";
const BAD_ID = "INVALID_ARGUMENT / ID_INVALID";
const BAD_QUANTITY = "INVALID_ARGUMENT / QUANTITY_INVALID";

describe("the cart service", () => {
  let database: TestDatabase;
  let service: RunningService;
  let close: () => void;
  let carts: Client;
  let users = 0;

  async function start(): Promise<void> {
    service = await startService("cart", { CART_DATABASE_URL: database.url });
    ({ rpc: carts, close } = clientOf(service));
  }
  before(async () => {
    database = await createTestDatabase({ template: "cart_rpc" });
    await start();
  });
  after(async () => {
    close();
    assert.equal(await service.stop(), 0);
    await database.drop();
  });

  const change = async (userId: number, ...changes: Change[]): Promise<string[]> => {
    const items = changes.map((one) => ({ ...as(userId), ...one }));
    return (await carts.batchChangeCarts({ items }, soon())).results.map(reasonOf);
  };
  const get = async (userId: number) => {
    const { results } = await carts.batchGetCarts({ items: [as(userId)] }, soon());
    return results[0]?.cart;
  };
  const take = async (userId: number, orderId: number, peek = false) => {
    const items = [{ ...as(userId), orderId, peek }];
    const { state, lines } = (await carts.batchTake({ items }, soon())).results[0] ?? {};
    return { state, lines };
  };
  const end = async (how: "batchRestore" | "batchForget", userId: number, orderId: number) => {
    const { results } = await carts[how]({ items: [{ ...as(userId), orderId }] }, soon());
    return results.map(reasonOf);
  };
  const line = (productId: number, quantity: number) => ({ productId, quantity });

  const EMPTY = { state: CheckoutState.EMPTY, lines: [] };
  const ENDED = { state: CheckoutState.ENDED, lines: [] };

  it("shows carts in the order asked, and to whom there is none that there is none", async () => {
    const [one, other] = [++users, ++users];
    await change(one, { add: line(7, 1) }, { add: line(3, 2) });
    const items = [as(other), as(0), as(one), {}];
    const { results } = await carts.batchGetCarts({ items }, soon());
    assert.deepEqual(results.map(reasonOf), ["", SIGN_IN, "", SIGN_IN]);
    assert.deepEqual(
      [results[0]?.cart, results[2]?.cart],
      [
        { userId: other, lines: [], exists: false },
        { userId: one, lines: [line(3, 2), line(7, 1)], exists: true },
      ],
    );
  });

  it("makes each kind of change, and answers each refusal by itself", async () => {
    const user = ++users;
    const answers = await change(
      user,
      { add: line(1, 5) },
      { set: line(1, 6) },
      { add: line(2, 999) },
      { add: line(2, 1) },
      { set: line(3, 1) },
      { removeProductId: 3 },
      { removeProductId: 1 },
    );
    const limit = "FAILED_PRECONDITION / QUANTITY_LIMIT";
    assert.deepEqual(answers, ["", "", "", limit, NO_LINE, NO_LINE, ""]);
    assert.deepEqual((await get(user))?.lines, [line(2, 999)]);
    assert.deepEqual(await change(user, { clear: true }), [""]);
    assert.deepEqual(await get(user), { userId: user, lines: [], exists: true });
  });

  it("refuses what is not well-formed, and loses nothing beside it", async () => {
    const user = ++users;
    const answers = await change(
      user,
      { add: line(0, 1) },
      { add: line(-1, 1) },
      { set: line(0, 1) },
      { removeProductId: 0 },
      { add: line(1, 0) },
      { add: line(1, -1) },
      { set: line(1, 1_000) },
      {},
      { clear: false },
      { add: line(1, 1) },
    );
    const none = "INVALID_ARGUMENT / CHANGE_INVALID";
    assert.deepEqual(answers, [
      ...[BAD_ID, BAD_ID, BAD_ID, BAD_ID],
      ...[BAD_QUANTITY, BAD_QUANTITY, BAD_QUANTITY],
      ...[none, none, ""],
    ]);
    const nobody = await carts.batchChangeCarts({ items: [{ clear: true }] }, soon());
    assert.deepEqual(nobody.results.map(reasonOf), [SIGN_IN]);
    assert.deepEqual((await get(user))?.lines, [line(1, 1)]);
  });

  it("refuses the 101st product", async () => {
    const products = Array.from({ length: 101 }, (_, index) => ({ add: line(index + 1, 1) }));
    const answers = await change(++users, ...products);
    assert.deepEqual(answers.slice(99), ["", "FAILED_PRECONDITION / CART_FULL"]);
  });

  it("peeks without taking, takes once, and tells it again", async () => {
    const user = ++users;
    assert.deepEqual(await take(user, 1), EMPTY);
    await change(user, { add: line(1, 2) });
    const taken = { state: CheckoutState.TAKEN, lines: [line(1, 2)] };
    assert.deepEqual(await take(user, 1, true), EMPTY);
    assert.deepEqual((await get(user))?.lines, [line(1, 2)]);
    assert.deepEqual(await take(user, 1), taken);
    assert.deepEqual((await get(user))?.lines, []);
    assert.deepEqual([await take(user, 1), await take(user, 1, true)], [taken, taken]);
  });

  it("answers takes and peeks of one call each in its place", async () => {
    const [one, other] = [++users, ++users];
    await change(one, { add: line(1, 2) });
    await change(other, { add: line(5, 6) });
    const items = [
      { ...as(other), orderId: 2, peek: true },
      { ...as(one), orderId: 0, peek: false },
      { ...as(one), orderId: 1, peek: false },
      { orderId: 1, peek: false },
    ];
    const { results } = await carts.batchTake({ items }, soon());
    assert.deepEqual(results.map(reasonOf), ["", BAD_ID, "", SIGN_IN]);
    assert.deepEqual(
      [results[0]?.state, results[2]?.state, results[2]?.lines],
      [CheckoutState.EMPTY, CheckoutState.TAKEN, [line(1, 2)]],
    );
  });

  for (const [how, left] of [
    ["batchRestore", [{ productId: 1, quantity: 5 }]],
    ["batchForget", [{ productId: 1, quantity: 3 }]],
  ] as const) {
    it(`${how} ends a checkout, and whatever comes late or again changes nothing`, async () => {
      const user = ++users;
      await change(user, { add: line(1, 2) });
      await take(user, 1);
      await change(user, { add: line(1, 3) });
      for (const late of [how, how, "batchForget", "batchRestore"] as const) {
        assert.deepEqual(await end(late, user, 1), [""]);
        assert.deepEqual([await take(user, 1), await take(user, 1, true)], [ENDED, ENDED]);
        assert.deepEqual((await get(user))?.lines, left);
      }
    });

    it(`${how} of what was never taken has the late Take change nothing`, async () => {
      const user = ++users;
      assert.deepEqual(await end(how, user, 1), [""]);
      assert.equal((await get(user))?.exists, false);
      await change(user, { add: line(1, 2) });
      assert.deepEqual([await take(user, 1), await take(user, 1, true)], [ENDED, ENDED]);
      assert.deepEqual((await get(user))?.lines, [line(1, 2)]);
    });

    it(`${how} refuses who is not signed in, and what is no order`, async () => {
      const items = [{ orderId: 1 }, { ...as(++users), orderId: -1 }];
      const { results } = await carts[how]({ items }, soon());
      assert.deepEqual(results.map(reasonOf), [SIGN_IN, BAD_ID]);
    });
  }

  it("erases a user for good", async () => {
    const user = ++users;
    await change(user, { add: line(1, 2) });
    for (let times = 0; times < 2; times += 1) {
      const { results } = await carts.batchErase({ items: [as(user), as(0)] }, soon());
      assert.deepEqual(results.map(reasonOf), ["", SIGN_IN]);
      assert.deepEqual(await get(user), { userId: user, lines: [], exists: false });
    }
    assert.deepEqual(await change(user, { add: line(1, 1) }), ["NOT_FOUND / USER_NOT_FOUND"]);
    assert.deepEqual(await take(user, 1), EMPTY);
    assert.deepEqual(await end("batchRestore", user, 1), [""]);
  });

  it("refuses a call with more than 1000 items", async () => {
    const items = Array.from({ length: 1001 }, () => as(1));
    await assert.rejects(carts.batchGetCarts({ items }, soon()), (error) =>
      isFailure(error, "TOO_MANY_ITEMS"),
    );
  });

  it("has carts and checkouts as they were after it was killed", async () => {
    const user = ++users;
    await change(user, { add: line(1, 2) });
    await take(user, 1);
    await change(user, { add: line(3, 4) });
    close();
    service.kill();
    await service.stop();
    await start();
    assert.deepEqual((await get(user))?.lines, [line(3, 4)]);
    assert.deepEqual(await take(user, 1), { state: CheckoutState.TAKEN, lines: [line(1, 2)] });
  });
});

describe("the cart service without its database", () => {
  it("does not start while MongoDB is away", async () => {
    const url = `mongodb://127.0.0.1:${await closedPort()}/cart`;
    await assert.rejects(startService("cart", { CART_DATABASE_URL: url }), /ECONNREFUSED/);
  });

  it("is UNAVAILABLE while MongoDB is away, and serves again when it is back", async (t) => {
    const mongo = await startMongo();
    if (mongo === undefined) {
      didNotRun("an outage of MongoDB", "there is no server of its protocol on this machine");
      return t.skip();
    }
    t.after(() => mongo.stop());
    const { hostname: host, port } = new URL(mongo.url);
    const target = { host, port: Number(port) };
    let proxy = await oneAtATime(target);
    t.after(() => proxy.close());
    const service = await startService("cart", {
      CART_DATABASE_URL: `mongodb://127.0.0.1:${proxy.port}/test_outage?directConnection=true`,
    });
    t.after(() => service.stop());
    const { rpc: carts, close } = clientOf(service);
    t.after(close);
    const add = { ...as(1), add: { productId: 1, quantity: 2 } };
    const added = await carts.batchChangeCarts({ items: [add] }, soon());
    assert.deepEqual(added.results.map(reasonOf), [""]);

    await proxy.close();
    await assert.rejects(
      carts.batchGetCarts({ items: [as(1)] }, soon()),
      (error) => isFailure(error, "DATABASE_UNREACHABLE") && error.code === "UNAVAILABLE",
    );
    proxy = await oneAtATime(target, proxy.port);
    const { results } = await carts.batchGetCarts({ items: [as(1)] }, soon());
    assert.deepEqual(results[0]?.cart?.lines, [{ productId: 1, quantity: 2 }]);
    await carts.batchErase({ items: [as(1)] }, soon());
  });

  for (const url of ["mysql://localhost/cart", "postgres://", "mongodb://u:hush@h/cart?w=&x"]) {
    it(`does not start with ${url.split("/")[0]}…, and does not quote it`, async () => {
      await assert.rejects(startService("cart", { CART_DATABASE_URL: url }), (error: Error) => {
        assert.match(error.message, /CART_DATABASE_URL/);
        assert.doesNotMatch(error.message, /hush|mysql:/);
        return true;
      });
    });
  }
});

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
