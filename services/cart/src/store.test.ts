import { randomBytes } from "node:crypto";
import { after } from "node:test";
import { Secret } from "@piata/kit/config";
import { createTestDatabase } from "@piata/testkit/database";
import { didNotRun } from "@piata/testkit/did-not-run";
import { startMongo } from "@piata/testkit/mongo";
import { MongoClient } from "mongodb";
import { openStore } from "./open-store.js";
import { cartStoreContract } from "./store.contract.js";
import { oneAtATime, type SerialProxy } from "./store.one-at-a-time.js";
import { cartStoreRaces } from "./store.races.js";

const postgres = await createTestDatabase({ template: "cart_contract" });
const races = await createTestDatabase({ template: "cart_contract" });
after(() => Promise.all([postgres.drop(), races.drop()]));
cartStoreContract("carts in PostgreSQL", () => openStore(new Secret(postgres.url)));
cartStoreRaces("carts in PostgreSQL, changed in parallel", () => openStore(new Secret(races.url)));

const mongo = await startMongo();
if (mongo === undefined) {
  didNotRun("carts in MongoDB", "there is no MONGODB_URL, and no mongod or ferretdb on the PATH");
} else {
  const { url, kind, stop } = mongo;
  const databases = [newName(), newName()] as const;
  cartStoreContract(`carts in MongoDB (${kind})`, () =>
    openStore(new Secret(inDatabase(url, databases[0]))),
  );
  let racesUrl = url;
  let proxy: SerialProxy | undefined;
  if (kind === "ferretdb") {
    didNotRun(
      "parallel changes of carts on a real MongoDB",
      "FerretDB makes no change atomic, so it was given one command at a time",
    );
    const { hostname, port } = new URL(url);
    proxy = await oneAtATime({ host: hostname, port: Number(port) });
    racesUrl = url.replace(`:${port}`, `:${proxy.port}`);
  }
  cartStoreRaces(
    `carts in MongoDB (${proxy ? `${kind}, a command at a time` : kind}), changed in parallel`,
    () => openStore(new Secret(inDatabase(racesUrl, databases[1]))),
  );
  after(async () => {
    const client = new MongoClient(url);
    for (const database of databases) await client.db(database).dropDatabase();
    await client.close();
    await proxy?.close();
    await stop();
  });
}

function newName(): string {
  return `test_${randomBytes(8).toString("hex")}`;
}

/** The server's URL with a database of the test's own in it. */
function inDatabase(url: string, database: string): string {
  const [, server, options = ""] = /^([^/]+\/\/[^/?]+)[^?]*(\?.*)?$/.exec(url) ?? [];
  return `${server}/${database}${options}`;
}
