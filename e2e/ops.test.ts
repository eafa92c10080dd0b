// What people are shown and woken by is held against what real programs say.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { didNotRun } from "@piata/testkit/did-not-run";
import { metricsOf, type Sample, sumOf } from "@piata/testkit/metrics";
import { type Shop, startShop } from "@piata/testkit/shop";
import { until } from "@piata/testkit/until";
import { addToCart, customer, ending, offer, order } from "./market.ts";

const run = promisify(execFile);
const ops = new URL("../ops/", import.meta.url);
const read = (path: string) => readFile(new URL(path, ops), "utf8");

/** Prometheus' own. */
const OF_PROMETHEUS = new Set(["up"]);
const LABELS_OF_PROMETHEUS = new Set(["job", "instance", "le"]);

interface Panel {
  id: number;
  type: string;
  title: string;
  gridPos: { h: number; w: number; x: number; y: number };
  targets?: { expr: string }[];
}

let shop: Shop;
/** Labels by the name of the metric, of every program together. */
let metrics: Map<string, Set<string>>;
let types: Map<string, string>;
before(async () => {
  shop = await startShop();
  const client = await customer(shop);
  await addToCart(client, await offer(client, 5), 1);
  assert.equal((await ending(client, await order(client))).value, "PAID");
  ({ metrics, types } = await scrape());
});
after(() => shop.stop());

async function scrape() {
  const labels = new Map<string, Set<string>>();
  const kinds = new Map<string, string>();
  for (const program of await shop.processes()) {
    if (program.httpAddress === undefined) continue;
    const { samples, types } = await metricsOf(program);
    for (const [name, kind] of types) {
      kinds.set(name, kind);
      labels.set(name, labels.get(name) ?? new Set());
    }
    for (const sample of samples) {
      const known = labels.get(sample.name) ?? new Set();
      for (const label of Object.keys(sample.labels)) known.add(label);
      labels.set(sample.name, known);
    }
  }
  return { metrics: labels, types: kinds };
}

/** Each metric that an expression reads, with the labels that it chooses by. */
function readBy(expression: string): { name: string; labels: string[] }[] {
  // What aggregations group by are labels.
  const text = expression.replaceAll(/\b(by|without) *\([^)]*\)/g, "");
  return [...text.matchAll(/\b(up|(?:piata|nodejs|process)_\w+)\b(?:\{([^}]*)\})?/g)].map(
    ([, name = "", list = ""]) => ({
      name,
      labels: [...list.matchAll(/(\w+) *(?:=|!)/g)].map(([, label = ""]) => label),
    }),
  );
}

function assertRead(expression: string): void {
  const found = readBy(expression);
  assert.ok(found.length > 0, `${expression} reads nothing of ours`);
  for (const { name, labels } of found) {
    if (OF_PROMETHEUS.has(name)) continue;
    const known = metrics.get(name);
    assert.ok(known, `no program has ${name}`);
    for (const label of labels) {
      assert.ok(known.has(label) || LABELS_OF_PROMETHEUS.has(label), `${name} has no ${label}`);
    }
  }
}

test("the dashboard reads metrics and labels that the programs have", async () => {
  const { panels } = JSON.parse(await read("grafana-dashboard.json")) as { panels: Panel[] };
  const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  assert.ok(expressions.length > 20);
  for (const expression of expressions) assertRead(expression);
});

test("the dashboard's panels have ids of their own and do not lie on each other", async () => {
  const { panels } = JSON.parse(await read("grafana-dashboard.json")) as { panels: Panel[] };
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  panels.forEach(({ title, gridPos: one }, at) => {
    assert.ok(one.x >= 0 && one.x + one.w <= 24 && one.h > 0 && one.w > 0, title);
    for (const { title: other, gridPos: two } of panels.slice(at + 1)) {
      const apart =
        one.x + one.w <= two.x ||
        two.x + two.w <= one.x ||
        one.y + one.h <= two.y ||
        two.y + two.h <= one.y;
      assert.ok(apart, `"${title}" and "${other}" overlap`);
    }
  });
});

test("the alerts read metrics that the programs have, and each says what to do", async () => {
  const text = await read("alerts.yaml");
  const rules = text.split(/^ {6}- alert: /m).slice(1);
  assert.ok(rules.length > 8);
  for (const rule of rules) {
    const [, expression = ""] = /expr: (.*?)\n {8}(?:for|labels):/s.exec(rule) ?? [];
    assertRead(expression);
    assert.match(rule, /severity: (page|ticket)\n/);
    assert.match(rule, /summary: \S/);
    assert.match(rule, /action: \S/);
  }
});

test("docs/observability.md lists every metric of ours with its type, and no other", async () => {
  const page = await read("../docs/observability.md");
  const listed = [...page.matchAll(/^\| `(piata_\w+)` \| (\w+) \|/gm)].map(
    ([, name, type]) => `${name} ${type}`,
  );
  const real = [...types].filter(([name]) => name.startsWith("piata_"));
  assert.deepEqual(listed.sort(), real.map(([name, type]) => `${name} ${type}`).sort());
});

test("what a client calls its operation is no label", async () => {
  const answer = await fetch(shop.url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query: "query Mine_7 { his_7: categories { id } }" }),
  });
  assert.equal(answer.status, 200);
  const gateway = await shop.process("gateway");
  const { samples } = await until(async () => {
    const shown = await metricsOf(gateway);
    const isOurs = ({ operation, code }: Sample["labels"]) =>
      operation === "Query.categories" && code === "OK";
    return sumOf(shown, "piata_operations_total", isOurs) > 0 && shown;
  });
  assert.doesNotMatch(JSON.stringify(samples), /_7/);
});

test("a failed request is found in the logs of every program that it went through", async () => {
  const client = await customer(shop);
  const { errors } = await client.graphql("mutation { initOrder { orderId } }");
  const [failure] = errors;
  assert.equal(failure?.extensions?.reason, "CART_EMPTY");
  const traceId = failure?.extensions?.traceId as string;
  for (const program of ["gateway", "order", "cart"]) {
    const log = `${shop.dataDir}/logs/${program}-1.log`;
    await until(async () => (await readFile(log, "utf8")).includes(traceId), {
      what: `the trace in ${log}`,
    });
  }
});

test("promtool takes the configuration and the rules, and the alerts fire when they should", async () => {
  const promtool = async (...args: string[]) => run("promtool", args, { cwd: ops });
  try {
    await promtool("--version");
  } catch {
    didNotRun("the unit tests of the alerts", "promtool (Debian: prometheus) is not on the PATH");
    return;
  }
  await promtool("check", "config", "prometheus.yaml");
  await promtool("check", "rules", "alerts.yaml");
  await promtool("test", "rules", "alerts.test.yaml");
});
