import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, it } from "node:test";
import {
  BatchChangeCartsRequest_Item,
  type BatchChangeCartsResponse,
  BatchTakeRequest_Item,
  type BatchTakeResponse,
  CartServiceService,
} from "@piata/contracts/cart";
import { ownContext } from "@piata/kit/context";
import { fromStatus } from "@piata/kit/errors";
import { openClient } from "@piata/kit/trial";
import { didNotRun } from "@piata/testkit/did-not-run";
import { as } from "@piata/testkit/identity";
import { type Mongo, startMongo } from "@piata/testkit/mongo";
import { type RunningService, startService } from "@piata/testkit/service";
import { MongoClient } from "mongodb";

const mongo = await startMongo();
if (mongo === undefined) {
  didNotRun(
    "what may reach MongoDB",
    "there is no MONGODB_URL, and no mongod or ferretdb on the PATH",
  );
}

const HOSTILE = [
  "$where",
  "$gt",
  "$set",
  "__proto__",
  "constructor",
  "a.b",
  "1.checkouts",
  "lines",
  "erased",
  '{"$gt":""}',
  "a\0b",
];

/** Items whose bytes are the test's. */
interface RawBatch {
  items: Uint8Array[];
}
const requestSerialize = ({ items }: RawBatch): Buffer =>
  Buffer.concat(items.map((item) => field(1, item)));
const RAW = {
  batchChangeCarts: { ...CartServiceService.batchChangeCarts, requestSerialize },
  batchTake: { ...CartServiceService.batchTake, requestSerialize },
};

/** A field whose value is bytes or text, whatever type the proto gives it. */
function field(number: number, value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value);
  // Less than 128 bytes, or a length of two.
  const length =
    bytes.length < 128 ? [bytes.length] : [(bytes.length & 127) | 128, bytes.length >> 7];
  return Buffer.concat([Buffer.from([number * 8 + 2, ...length]), bytes]);
}

const reasonsOf = ({ results }: BatchChangeCartsResponse | BatchTakeResponse): string[] =>
  results.map(({ failure }) => (failure ? fromStatus(failure).reason : ""));

describe("what may reach MongoDB", { skip: mongo === undefined }, () => {
  const { url } = mongo as Mongo;
  const database = `test_${randomBytes(8).toString("hex")}`;
  let store: MongoClient;
  let service: RunningService;
  let close: () => void;
  let carts: ReturnType<typeof openClient<typeof RAW>>["rpc"];

  before(async () => {
    const own = new URL(url);
    own.pathname = `/${database}`;
    store = await new MongoClient(own.href).connect();
    service = await startService("cart", { CART_DATABASE_URL: own.href });
    const to = { service: "cart", target: service.address };
    ({ rpc: carts, close } = openClient(to, RAW, { batchTake: "order" }));
  });
  after(async () => {
    close();
    assert.equal(await service.stop(), 0);
    await store.db().dropDatabase();
    await store.close();
    await mongo?.stop();
  });

  const change = async (...items: Uint8Array[]) =>
    reasonsOf(await carts.batchChangeCarts({ items }, ownContext(10_000)));
  const take = async (...items: Uint8Array[]) =>
    reasonsOf(await carts.batchTake({ items }, ownContext(10_000)));

  /** Fails unless every name is the store's or a number, and every value a number or a flag. */
  function assertPlain(value: unknown, where: string): void {
    if (typeof value !== "object" || value === null) {
      assert.ok(typeof value === "number" || value === true, `${where} is ${value}`);
      return;
    }
    for (const [name, inner] of Object.entries(value)) {
      assert.match(name, /^(?:_id|lines|checkouts|ended|floor|erased|\d{1,10})$/, where);
      assertPlain(inner, `${where}.${name}`);
    }
  }

  it("text where an id or a quantity belongs is not read at all", async () => {
    const owner = BatchChangeCartsRequest_Item.encode(as(7)).finish();
    const one = Buffer.from([0x08, 1]);
    for (const text of HOSTILE) {
      const asId = Buffer.concat([owner, field(2, field(1, text))]);
      const asQuantity = Buffer.concat([owner, field(2, Buffer.concat([one, field(2, text)]))]);
      const asRemoved = Buffer.concat([owner, field(4, text)]);
      const asUnknown = Buffer.concat([owner, field(15, text)]);
      assert.deepEqual(await change(asId, asQuantity, asRemoved, asUnknown), [
        "ID_INVALID",
        "QUANTITY_INVALID",
        "CHANGE_INVALID",
        "CHANGE_INVALID",
      ]);
      const ofNobody = field(2, Buffer.concat([one, Buffer.from([0x10, 1])]));
      assert.deepEqual(await change(Buffer.concat([field(1, field(2, text)), ofNobody])), [
        "SIGN_IN_REQUIRED",
      ]);
      const taking = BatchTakeRequest_Item.encode({ ...as(7), orderId: 0, peek: false }).finish();
      assert.deepEqual(await take(Buffer.concat([taking, field(2, text)])), ["ID_INVALID"]);
    }
    assert.equal(await store.db().collection("carts").countDocuments(), 0);
    console.log(`${HOSTILE.length * 6} texts in the places of numbers`);
  });

  it("of what surrounds an item nothing is stored, whatever it says", async () => {
    const productId = 2 ** 31 - 1;
    const items = HOSTILE.map((text) => {
      const { context } = as(8);
      const hostile = { ...context, traceId: text, spanId: text, sessionId: text };
      const item = { context: hostile, add: { productId, quantity: 1 } };
      return BatchChangeCartsRequest_Item.encode(item).finish();
    });
    assert.deepEqual(
      await change(...items),
      HOSTILE.map(() => ""),
    );
    const order = { ...as(8), orderId: 2 ** 31 - 1, peek: false };
    assert.deepEqual(await take(BatchTakeRequest_Item.encode(order).finish()), [""]);
    assert.deepEqual(await change(items[0] as Uint8Array), [""]);
    const documents = await store.db().collection("carts").find().toArray();
    assert.equal(documents.length, 1);
    for (const document of documents) assertPlain(document, "cart");
    const { lines, checkouts } = documents[0] as Record<string, object>;
    assert.deepEqual(lines, { [productId]: 1 });
    assert.deepEqual(checkouts, { [2 ** 31 - 1]: { [productId]: HOSTILE.length } });
  });
});
