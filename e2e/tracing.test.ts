// Following one request through the real programs, by its trace id alone.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { type CollectedSpan, type Collector, startCollector } from "@piata/testkit/collector";
import { type Shop, startShop } from "@piata/testkit/shop";
import { until } from "@piata/testkit/until";
import { addToCart, customer, offer } from "./market.ts";

const PRODUCTS = "piata.catalog.v1.CatalogService/BatchGetProducts";
const AT_ONCE = 40;

let collector: Collector;
let shop: Shop;
before(async () => {
  collector = await startCollector();
  shop = await startShop({
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
      // Only what a test asks for is recorded.
      OTEL_TRACES_SAMPLER_ARG: "0",
      // Each read is followed to the database.
      GATEWAY_CATALOG_CACHE_PRODUCTS: "0",
    },
  });
});
after(async () => {
  await shop.stop();
  await collector.close();
});

interface Request {
  token?: string | undefined;
  sampled?: boolean;
}

/** Asks with a traceparent of our own. */
async function ask(query: string, { token, sampled = true }: Request = {}) {
  const traceId = randomBytes(16).toString("hex");
  const flags = sampled ? "01" : "00";
  const response = await fetch(shop.url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      traceparent: `00-${traceId}-${randomBytes(8).toString("hex")}-${flags}`,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ query }),
  });
  assert.equal(response.headers.get("x-trace-id"), traceId);
  return { traceId, body: (await response.json()) as Record<string, unknown> };
}

const spansOf = (traceId: string) => collector.spans.filter((span) => span.traceId === traceId);

/** The names from the gateway down to a span: "gateway request > ...". */
function path(span: CollectedSpan): string[] {
  const own = `${span.service} ${span.kind} ${span.name}`;
  const parent = spansOf(span.traceId).find(({ spanId }) => spanId === span.parentSpanId);
  return parent ? [...path(parent), own] : [own];
}

async function waitFor(traceId: string, service: string, name: string): Promise<CollectedSpan> {
  const found = () =>
    spansOf(traceId).find((span) => span.service === service && span.name === name);
  try {
    return await until(found);
  } catch (error) {
    const came = spansOf(traceId).map((span) => `${span.service} ${span.name}`);
    const what = `${name} of ${service} in ${traceId}`;
    throw new Error(`${what} did not come, only ${came.join(", ")}`, { cause: error });
  }
}

test("a query is one trace from the gateway over gRPC to the name of its SQL", async () => {
  const client = await customer(shop);
  const id = await offer(client, 1);
  const { traceId } = await ask(`{ product(id: ${id}) { name } }`);
  const sql = await waitFor(traceId, "catalog", "find_products");
  await waitFor(traceId, "gateway", "Query.product");
  assert.deepEqual(path(sql), [
    "gateway SERVER Query.product",
    `gateway CLIENT ${PRODUCTS}`,
    `catalog SERVER ${PRODUCTS}`,
    "catalog CLIENT find_products",
  ]);
});

test("an order is one trace, its charge and its sale included", async () => {
  const client = await customer(shop);
  await addToCart(client, await offer(client, 5), 2);
  const { traceId, body } = await ask("mutation { initOrder { orderId } }", client);
  assert.equal(body.errors, undefined);
  const checkout = await waitFor(traceId, "order", "checkout");
  await waitFor(traceId, "gateway", "Mutation.initOrder");
  const charge = await waitFor(traceId, "payment", "write_entries");
  const sale = await waitFor(traceId, "catalog", "settle");
  const taken = await waitFor(traceId, "cart", "write_carts");
  for (const span of [checkout, charge, sale, taken]) {
    assert.equal(path(span)[0], "gateway SERVER Mutation.initOrder");
  }
  assert.ok(path(charge).includes("order INTERNAL checkout"));
});

test("requests that share a batch are each followed to it, through links", async () => {
  const client = await customer(shop);
  const ids = await Promise.all(Array.from({ length: AT_ONCE }, () => offer(client, 1)));
  const asked = await Promise.all(ids.map((id) => ask(`{ product(id: ${id}) { name } }`)));
  // The same product too: its callers share one item, and none of them is lost.
  const same = await Promise.all(ids.map(() => ask(`{ product(id: ${ids[0]}) { name } }`)));
  let linked = 0;
  for (const { traceId } of [...asked, ...same]) {
    const call = await until(() => {
      const own = spansOf(traceId);
      const direct = own.find(({ kind, name }) => kind === "CLIENT" && name === PRODUCTS);
      if (direct) return direct;
      const [link] = own.find(({ name }) => name === "gateway.product")?.links ?? [];
      const shared = collector.spans.find(({ spanId }) => spanId === link?.spanId);
      if (shared) linked += 1;
      return shared;
    });
    // There, and back again.
    const isOwn = call.traceId === traceId || call.links.some((link) => link.traceId === traceId);
    assert.ok(isOwn, `${traceId} is not in the batch that it leads to`);
    const server = await until(() =>
      collector.spans.find(({ parentSpanId }) => parentSpanId === call.spanId),
    );
    assert.equal(`${server.service} ${server.kind}`, "catalog SERVER");
  }
  assert.ok(linked > 0, "no two requests met in a batch");
});

test("what nobody wants recorded is not sent", async () => {
  const { traceId } = await ask("{ categories { id } }", { sampled: false });
  const wanted = await ask("{ categories { id } }");
  await waitFor(wanted.traceId, "gateway", "Query.categories");
  await waitFor(wanted.traceId, "catalog", "list_categories");
  assert.deepEqual(spansOf(traceId), []);
});
