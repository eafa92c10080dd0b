import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, it, type TestContext } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type CollectedSpan, type Collector, startCollector } from "@piata/testkit/collector";
import { createTestDatabase, type TestDatabase } from "@piata/testkit/database";
import { until } from "@piata/testkit/until";
import { batched } from "./batch.js";
import { coalesce } from "./coalesce.js";
import { Secret } from "./config.js";
import { type Context, ownContext } from "./context.js";
import { Metrics } from "./metrics.js";
import { Database, statement } from "./pg.js";
import { newTraceId } from "./trace-id.js";
import { inJob, inSpan, startCall, startRequest, startStatement, startTracing } from "./tracing.js";
import { charged, chargeItem, gate, openTrialLog, serve, soon } from "./trial.js";

const CHARGE = "piata.payment.v1.PaymentService/BatchCharge";
const NOWHERE = "http://127.0.0.1:1";

interface Traced {
  endpoint: string;
  ratio?: number;
}
const open = ({ endpoint, ratio = 1 }: Traced, log = openTrialLog().log) =>
  startTracing({
    otlpEndpoint: endpoint,
    tracesRatio: ratio,
    service: "trial",
    version: "1.2.3",
    instanceId: "one",
    log,
  });

/** A collector, and tracing to it; `spans` ends the tracing and answers with what was sent. */
async function recording(t: TestContext, ratio = 1) {
  const collector: Collector = await startCollector();
  const close = await open({ endpoint: collector.endpoint, ratio });
  t.after(async () => {
    await close();
    await collector.close();
  });
  return {
    collector,
    async spans(): Promise<readonly CollectedSpan[]> {
      await close();
      return collector.spans;
    },
  };
}

/** A request of a new trace, whose span is recorded, and the context that it causes. */
function newRequest() {
  const traceId = newTraceId();
  const span = startRequest(traceId, undefined);
  assert.ok(span);
  const context: Context = { ...soon(), traceId, spanId: span.spanId };
  return { context, span };
}

const only = (spans: readonly CollectedSpan[], name: string, traceId: string): CollectedSpan => {
  const found = spans.filter((span) => span.name === name && span.traceId === traceId);
  assert.equal(found.length, 1, `${found.length} spans ${name} in ${traceId}`);
  return found[0] as CollectedSpan;
};

/** What a program loads of OpenTelemetry when it starts tracing with that endpoint. */
function loadedWith(endpoint: string | undefined): string[] {
  const program = `
    import { registerHooks } from "node:module";
    const loaded = [];
    registerHooks({
      resolve(name, context, next) {
        if (/opentelemetry.(sdk|exporter|resources)/.test(name)) loaded.push(name);
        return next(name, context);
      },
    });
    const { startTracing } = await import(${JSON.stringify(new URL("tracing.js", import.meta.url))});
    const otlpEndpoint = ${JSON.stringify(endpoint)};
    await startTracing({ otlpEndpoint, tracesRatio: 1, service: "trial" });
    process.stdout.write(JSON.stringify(loaded));`;
  const args = ["--input-type=module", "-e", program];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

describe("tracing without an endpoint", () => {
  it("records nothing", async () => {
    const traceId = newTraceId();
    assert.equal(startRequest(traceId, `00-${traceId}-${"1".repeat(16)}-01`), undefined);
    assert.equal(startCall(`/${CHARGE}`, "payment", soon()), undefined);
    assert.equal(startStatement("one"), undefined);
    assert.equal(await inSpan("work", ownContext(1), async () => 7), 7);
  });

  it("loads nothing of the SDK", () => {
    assert.deepEqual(loadedWith(undefined), []);
    assert.ok(loadedWith(NOWHERE).includes("@opentelemetry/sdk-trace"));
  });
});

describe("whether a trace is recorded", () => {
  const caller = "00f067aa0ba902b7";
  const sent = (traceId: string, flags: string) => `00-${traceId}-${caller}-${flags}`;

  it("is what the client's traceparent says, and its span is the parent", async (t) => {
    const { spans } = await recording(t, 0);
    const [wanted, unwanted] = [newTraceId(), newTraceId()];
    const span = startRequest(wanted, sent(wanted, "01"));
    assert.equal(span?.traceId, wanted);
    span.end("OK", { "graphql.operation.name": "Mine" }, "Query.product");
    assert.equal(startRequest(unwanted, sent(unwanted, "00")), undefined);
    const [only, ...more] = await spans();
    assert.deepEqual(more, []);
    assert.deepEqual(
      [only?.name, only?.parentSpanId, only?.kind],
      ["Query.product", caller, "SERVER"],
    );
    assert.equal(only?.attributes["piata.code"], "OK");
  });

  it("is decided by the ratio without one, by the trace id that answers and logs have", async (t) => {
    const { spans } = await recording(t, 0.5);
    const ids = Array.from({ length: 200 }, newTraceId);
    const recorded = ids.filter((id) => {
      const span = startRequest(id, "not a traceparent");
      span?.end("OK");
      return span !== undefined;
    });
    assert.ok(recorded.length > 50 && recorded.length < 150, `${recorded.length} of 200`);
    assert.deepEqual((await spans()).map(({ traceId }) => traceId).sort(), recorded.sort());
  });

  it("makes an error of a fault of ours, and not of a question that was wrong", async (t) => {
    const { spans } = await recording(t);
    for (const code of ["NOT_FOUND", "UNAVAILABLE"]) newRequest().span.end(code, {}, code);
    const found = (await spans()).map(({ name, isError }) => [name, isError]);
    assert.deepEqual(found, [
      ["NOT_FOUND", false],
      ["UNAVAILABLE", true],
    ]);
  });
});

describe("a call", () => {
  let database: TestDatabase;
  let db: Database;
  before(async () => {
    database = await createTestDatabase({ template: "kit_empty" });
    db = new Database(new Secret(database.url), { program: "kit-test" });
  });
  after(async () => {
    await db.close();
    await database.drop();
  });
  const echo = (name: string) => statement(name, "select $1::integer as n");

  it("is one span at each end, with the server's SQL below, by name and without values", async (t) => {
    const { spans } = await recording(t);
    const handlers = {
      batchCharge: async () => {
        await db.rows(echo("one_row"), [4_111]);
        await db.transaction((tx) => tx.rows(echo("in_transaction"), [4_111]));
        await assert.rejects(db.rows(statement("fails", "select 1 / $1::integer"), [0]));
        return { results: [charged] };
      },
    };
    const trial = await serve(handlers);
    t.after(() => trial.close());
    const { context, span } = newRequest();
    await trial.payment.batchCharge({ items: [chargeItem(1)] }, context);
    span.end("OK");
    const found = await spans();
    const chain = found.filter(({ name }) => name === CHARGE);
    const client = chain.find(({ kind }) => kind === "CLIENT");
    const server = chain.find(({ kind }) => kind === "SERVER");
    assert.equal(chain.length, 2);
    assert.equal(client?.parentSpanId, span.spanId);
    assert.equal(server?.parentSpanId, client?.spanId);
    for (const name of ["one_row", "in_transaction", "fails"]) {
      const sql = only(found, name, context.traceId);
      assert.deepEqual([sql.kind, sql.parentSpanId], ["CLIENT", server?.spanId]);
      assert.equal(sql.attributes["db.system.name"], "postgresql");
    }
    const failed = only(found, "fails", context.traceId);
    assert.deepEqual(
      [failed.isError, failed.attributes["db.response.status_code"]],
      [true, "22012"],
    );
    assert.doesNotMatch(JSON.stringify(found), /4111/);
  });

  it("keeps its SQL apart from that of a call that is served at the same time", async (t) => {
    const { spans } = await recording(t);
    const both = gate();
    let inside = 0;
    const handlers = {
      batchCharge: async ({ items }: { items: { orderId: number }[] }) => {
        inside += 1;
        if (inside === 3) both.resolve();
        await both.promise;
        for (let round = 0; round < 3; round += 1) {
          await db.rows(echo(`of_${items[0]?.orderId}`), [round]);
        }
        return { results: [charged] };
      },
    };
    const trial = await serve(handlers);
    t.after(() => trial.close());
    const requests = [newRequest(), newRequest()];
    const contexts = [...requests.map(({ context }) => context), soon()];
    await Promise.all(
      contexts.map((context, at) =>
        trial.payment.batchCharge({ items: [chargeItem(at)] }, context),
      ),
    );
    const found = await spans();
    contexts.slice(0, 2).forEach(({ traceId }, at) => {
      const server = found.find((one) => one.traceId === traceId && one.kind === "SERVER");
      const sql = found.filter(({ name }) => name === `of_${at}`);
      assert.equal(sql.length, 3);
      for (const one of sql) {
        assert.deepEqual([one.traceId, one.parentSpanId], [traceId, server?.spanId]);
      }
    });
    assert.deepEqual(
      found.filter(({ name }) => name === "of_2"),
      [],
    );
  });
});

describe("a batch", () => {
  it("is a span of its first recorded item, and the others lead to it and back", async (t) => {
    const { spans } = await recording(t);
    const trial = await serve({
      batchCharge: async ({ items }) => ({ results: items.map(() => charged) }),
    });
    t.after(() => trial.close());
    const metrics = new Metrics("trial");
    const charge = batched(trial.payment.batchCharge, { name: "trial.charge", metrics });
    const [one, two] = [newRequest().context, newRequest().context];
    // The first is not recorded at all.
    await Promise.all(
      [soon(), one, two].map((context, at) => {
        const { context: _, ...item } = chargeItem(at);
        return charge(context, item);
      }),
    );
    const found = await spans();
    const calls = found.filter(({ kind, name }) => kind === "CLIENT" && name === CHARGE);
    assert.equal(calls.length, 1);
    assert.equal(calls[0]?.parentSpanId, one.spanId);
    assert.deepEqual(calls[0]?.links, [{ traceId: two.traceId, spanId: two.spanId }]);
    const back = only(found, "trial.charge", two.traceId);
    assert.equal(back.parentSpanId, two.spanId);
    assert.deepEqual(back.links, [{ traceId: one.traceId, spanId: calls[0]?.spanId }]);
  });

  it("is not of the trace that happened to be worked on when it was sent", async (t) => {
    const { spans } = await recording(t);
    const settle = coalesce<number, number>({
      name: "trial.settle",
      maxInFlight: () => 1,
      send: async (items) => {
        await turn();
        startStatement(`settle_${items.join("_")}`)?.end("OK");
        return items;
      },
    });
    const [one, two] = [newRequest().context, newRequest().context];
    await Promise.all([
      inSpan("one", one, () => settle(1)),
      // Waits for the batch of the first, and goes out from there.
      turn().then(() => settle(2)),
      turn()
        .then(turn)
        .then(() => inSpan("two", two, () => settle(3))),
    ]);
    const found = await spans();
    assert.equal(only(found, "settle_1", one.traceId).traceId, one.traceId);
    const statements = found.filter(({ name }) => name.startsWith("settle_"));
    for (const { name, traceId } of statements) {
      assert.equal(traceId, name.includes("1") ? one.traceId : two.traceId);
    }
  });
});

describe("a job", () => {
  it("is of the trace that it belongs to, long after its request", async (t) => {
    const { spans } = await recording(t);
    const traceId = newTraceId();
    await inJob("checkout", traceId, async () => {
      assert.notEqual(ownContext(1, 0, traceId).spanId, "");
      assert.equal(ownContext(1).spanId, "");
      startStatement("advance")?.end("OK");
    });
    const found = await spans();
    const job = only(found, "checkout", traceId);
    assert.deepEqual([job.kind, job.parentSpanId], ["INTERNAL", ""]);
    assert.equal(only(found, "advance", traceId).parentSpanId, job.spanId);
  });

  it("that fails is an error", async (t) => {
    const { spans } = await recording(t);
    const work = async () => {
      throw new TypeError("a bug");
    };
    await assert.rejects(inJob("checkout", newTraceId(), work), TypeError);
    assert.deepEqual(
      (await spans()).map(({ name, isError }) => [name, isError]),
      [["checkout", true]],
    );
  });
});

describe("a collector", () => {
  it("that is away neither slows nor breaks anything", async (t) => {
    const close = await open({ endpoint: NOWHERE });
    const trial = await serve({ batchCharge: async () => ({ results: [charged] }) });
    t.after(() => trial.close());
    for (let round = 0; round < 200; round += 1) {
      const { context, span } = newRequest();
      await trial.payment.batchCharge({ items: [chargeItem(round)] }, context);
      span.end("OK");
    }
    const start = performance.now();
    await close();
    assert.ok(performance.now() - start < 1_500, "the end waits for a collector that is away");
  });

  it("that refuses what it is sent is one line in the log", async (t) => {
    const refusing = createServer((_, response) => response.writeHead(400).end());
    await new Promise<void>((resolve) => refusing.listen(0, "127.0.0.1", resolve));
    t.after(() => refusing.close());
    const { log, lines } = openTrialLog();
    const { port } = refusing.address() as AddressInfo;
    const close = await open({ endpoint: `http://127.0.0.1:${port}` }, log);
    const complaints = () => lines().filter(({ msg }) => msg === "traces are not sent");
    newRequest().span.end("OK");
    await until(() => complaints().length > 0);
    newRequest().span.end("OK");
    await close();
    assert.equal(complaints().length, 1);
  });

  it("is told who we are", async (t) => {
    const { collector, spans } = await recording(t);
    newRequest().span.end("OK");
    // Without waiting for the end.
    await until(() => collector.calls() > 0);
    const [{ service, instance } = {} as CollectedSpan] = await spans();
    assert.deepEqual([service, instance], ["trial", "one"]);
  });
});
