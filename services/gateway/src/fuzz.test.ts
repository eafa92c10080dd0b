import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, it, type TestContext } from "node:test";
import { LoadClient } from "@piata/testkit/load-generator";
import { metricsOf, sumOf } from "@piata/testkit/metrics";
import * as fc from "fast-check";
import { buildSchema } from "graphql";
import {
  type Answer,
  ask,
  newPerson,
  newProduct,
  type Person,
  type Shop,
  startShop,
} from "./fixture.js";
import { requests, type Sent } from "./fuzz.fixture.js";

const isLong = process.env.PIATA_TEST_LONG === "1";
const REQUESTS = isLong ? 100_000 : 2_000;
/** Sent at once. */
const AT_ONCE = 20;
/** Of all requests: then the programs have what they keep. */
const WARM_UP = 0.3;
const GATEWAY_HEAP_MB = 128;
/** What a program may have grown by since then; its heap breathes. */
const GROWTH_MB_MAX = 60;
const STATUSES = new Set([200, 400, 405, 413, 429, 503]);
const LEAK =
  /node_modules|\.[jt]s:\d|\bat \S+ \(|\/(home|usr|root|tmp|var|work)\/|\b(select|insert|update|delete)\b.{1,80}\b(from|into|set|where)\b|duplicate key|violates|at or near|relation "|byte sequence|ECONN|ENOENT|pg_|postgres|mongo|grpc|prisma/i;

const HONEST = [
  "query ($id: Float!) { product(id: $id) { id name price exactPrice { amountMinor currency } } }",
  "query ($id: Int, $s: String) { products(first: $id, after: $s) { items { id ...P } nextCursor } } fragment P on ProductGraphqlType { categories { id name } }",
  "query ($id: Float!) { orderStatus(orderId: $id) { value reason } }",
  "{ cart { userId items { productId quantity } lines { product { id } } } orders { items { id status } } }",
  "mutation ($input: CartItemInput!) { addToCart(input: $input) }",
  "mutation ($input: UpdateItemInput!) { updateItemQuantity(input: $input) }",
  "mutation ($id: Float!) { removeItem(productId: $id) }",
  "mutation ($input: CreateProductInput!) { createProduct(input: $input) { id } }",
  "mutation ($input: CreateCategoryInput!) { createCategory(input: $input) { id } }",
  "mutation ($input: RegisterUserInput!) { registerUser(input: $input) }",
  "mutation ($input: AuthLoginInput!) { login(input: $input) }",
  "mutation ($s: String) { refresh(token: $s) }",
  "mutation ($s: String!) { refreshTokens(token: $s) { accessToken } }",
  "mutation ($s: String, $id: Float) { initOrder(paymentMethod: $s, idempotencyKey: $s, expectedTotalMinor: $id) { orderId } }",
  "mutation ($id: Float!) { cancelOrder(orderId: $id) { value } }",
  "mutation ($input: RefundOrderInput!) { refundOrder(input: $input) { id } }",
];
/** Who asks for one of these would be somebody else afterwards, or nobody. */
const ENDS_SESSIONS = /deleteMe|logout/;

describe("whatever is sent", () => {
  let shop: Shop;
  let client: LoadClient;
  let ana: Person;
  let reasons: Set<string | undefined>;
  let sent = 0;
  /** How many times each reason was given, and OK. */
  const outcomes = new Map<string, number>();

  before(async () => {
    shop = await startShop({
      GATEWAY_BATCH_MAX: "5",
      // What it keeps has to fit: it would end, and the test with it. A small young generation, as
      // the usual one grows by up to 48 MB for reasons of its own.
      NODE_OPTIONS: `--max-old-space-size=${GATEWAY_HEAP_MB} --max-semi-space-size=2`,
    });
    client = new LoadClient(shop.url);
    ana = await newPerson(shop.url);
    await newProduct(shop.url, ana);
    const page = await readFile(new URL("../../../docs/errors.md", import.meta.url), "utf8");
    const rows = page.matchAll(/^\| `([A-Z_]+)` \| `([A-Z_]+)` \|/gm);
    reasons = new Set([...rows].map(([, reason, code]) => `${code} / ${reason}`));
    reasons.delete("INTERNAL / INTERNAL");
  });
  after(async () => {
    client.close();
    await shop.stop();
  });

  async function check(request: Sent): Promise<void> {
    const { status, body } = await client.send(written(request));
    const text = body();
    const parsed = JSON.parse(text) as Partial<Answer> | Partial<Answer>[];
    assert.ok(STATUSES.has(status), `HTTP ${status}: ${text}`);
    for (const answer of [parsed].flat()) {
      const { data, errors = [] } = answer;
      assert.ok(errors.length > 0 || (status === 200 && data), text);
      for (const { extensions } of errors) {
        const { code, reason } = extensions;
        assert.ok(reasons.has(`${code} / ${reason}`), `${code} / ${reason}: ${text}`);
      }
      const said = errors.map(({ message, extensions: { metadata } }) => [message, metadata]);
      assert.doesNotMatch(JSON.stringify(said), LEAK);
      for (const reason of new Set(errors.map(({ extensions }) => extensions.reason)))
        count(reason);
      if (errors.length === 0) count("OK");
    }
    sent += 1;
  }

  function written(request: Sent): Buffer {
    if ("search" in request) {
      const { host, pathname } = new URL(shop.url);
      const token = `authorization: Bearer ${ana.token}`;
      return Buffer.from(
        `GET ${pathname}?${request.search} HTTP/1.1\r\nhost: ${host}\r\n${token}\r\n\r\n`,
      );
    }
    const bytes = Buffer.from(request.body);
    return client.request(bytes, ENDS_SESSIONS.test(bytes.toString()) ? undefined : ana.token);
  }

  const count = (outcome: string) => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);

  /** Bytes that each program holds, in MB. */
  async function memory(): Promise<Record<string, number>> {
    const held = Object.entries(shop.programs).map(async ([name, program]) => {
      const bytes = sumOf(await metricsOf(program), "process_resident_memory_bytes", () => true);
      return [name, Math.round(bytes / 1e6)] as const;
    });
    return Object.fromEntries(await Promise.all(held));
  }

  it("is answered with a code, tells nothing of the inside, and leaves nothing behind", async (t: TestContext) => {
    const schema = buildSchema(
      await readFile(new URL("../schema.graphql", import.meta.url), "utf8"),
    );
    const several = fc.array(requests(schema, HONEST), { minLength: AT_ONCE, maxLength: AT_ONCE });
    const property = fc.asyncProperty(several, async (all) => {
      await Promise.all(all.map(check));
    });
    // What failed is run again with PIATA_FUZZ_SEED, which is also in fast-check's report.
    const seed = Number(process.env.PIATA_FUZZ_SEED ?? Date.now() % 2 ** 31);
    console.log(`fuzz seed ${seed}`);
    const runs = REQUESTS / AT_ONCE;
    const start = performance.now();
    await fc.assert(property, { seed, numRuns: runs * WARM_UP });
    const warm = await memory();
    await fc.assert(property, { seed: seed + 1, numRuns: runs * (1 - WARM_UP) });
    const end = await memory();
    const seconds = Math.round((performance.now() - start) / 1_000);
    const held = Object.keys(end).map((name) => `${name} ${warm[name]} to ${end[name]}`);
    console.log(`${sent} fuzzed requests in ${seconds} s; resident MB: ${held.join(", ")}`);
    t.diagnostic(JSON.stringify(Object.fromEntries([...outcomes].sort((a, b) => b[1] - a[1]))));
    assert.ok((outcomes.get("OK") ?? 0) > sent / 20, "some of it makes sense");
    for (const [name, bytes] of Object.entries(end)) {
      const grown = bytes - (warm[name] as number);
      assert.ok(grown < GROWTH_MB_MAX, `${name} has grown by ${grown} MB`);
    }
    for (const [name, program] of Object.entries(shop.programs)) {
      assert.doesNotMatch(program.output(), /"code":"INTERNAL"|threw a bug/, name);
    }
    const { data, errors } = await ask(shop.url, "{ hello me { id } }", { headers: ana.headers });
    assert.deepEqual([data?.hello, errors], ["Hello from piata.", []]);
  });
});
