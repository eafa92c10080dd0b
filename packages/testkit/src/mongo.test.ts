import assert from "node:assert/strict";
import { it } from "node:test";
import { MongoClient } from "mongodb";
import { startMongo } from "./mongo.js";

it("a MongoDB server of this machine's answers, when it has one", async (t) => {
  const mongo = await startMongo();
  if (mongo === undefined) return t.skip("no MONGODB_URL, and no mongod or ferretdb on the PATH");
  t.after(() => mongo.stop());
  const client = new MongoClient(mongo.url);
  t.after(() => client.close());
  const things = client
    .db(`testkit_${process.pid}`)
    .collection<{ _id: string; n: number }>("things");
  await things.insertOne({ _id: "a", n: 1 });
  await things.updateOne({ _id: "a" }, { $inc: { n: 2 } });
  assert.deepEqual(await things.findOne({ _id: "a" }), { _id: "a", n: 3 });
  await things.drop();
});
