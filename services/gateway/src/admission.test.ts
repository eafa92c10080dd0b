import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, createServer, request as httpRequest, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { readConfig } from "@piata/kit/config";
import { resourceExhausted } from "@piata/kit/errors";
import { openLog } from "@piata/kit/log";
import { Metrics } from "@piata/kit/metrics";
import { until } from "@piata/testkit/until";
import { buildSchema } from "graphql";
import { Admission } from "./admission.js";
import { limitsOf, settings } from "./config.js";
import { Documents } from "./documents.js";
import { createServer as createGateway } from "./server.js";

/** A guarded server whose answers the test gives, and a client of it. */
async function guarded(t: TestContext, requestsMax: number) {
  const lines: string[] = [];
  const log = openLog("gateway", "info", { write: (line) => lines.push(line) });
  const metrics = new Metrics("gateway");
  const taken: ServerResponse[] = [];
  const admission = new Admission({ requestsMax, log, metrics });
  const server = createServer(admission.guard((_, response) => void taken.push(response)));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true });
  t.after(() => {
    agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  const ask = (signal?: AbortSignal, method = "POST") =>
    new Promise<{ status: number; headers: Record<string, unknown>; body: string }>(
      (resolve, reject) => {
        const options = { host: "127.0.0.1", port, method, agent, signal };
        const sent = httpRequest(options, async (response) => {
          const chunks = await response.toArray();
          const { statusCode = 0, headers } = response;
          resolve({ status: statusCode, headers, body: Buffer.concat(chunks).toString() });
        });
        sent.on("error", reject);
        sent.end(method === "POST" ? "x".repeat(100_000) : undefined);
      },
    );
  return { ask, taken, lines, metrics, port };
}

describe("admission", () => {
  it("refuses what is more than can be worked on, and takes more when there is room", async (t) => {
    const { ask, taken, lines, metrics } = await guarded(t, 2);
    const admitted = [ask(), ask()];
    await until(() => taken.length === 2);
    for (let time = 0; time < 3; time += 1) {
      const { status, headers, body } = await ask();
      assert.deepEqual([status, headers["retry-after"]], [503, "1"]);
      const [error] = JSON.parse(body).errors;
      assert.equal(error.extensions.code, "RESOURCE_EXHAUSTED");
      assert.equal(error.extensions.reason, "OVERLOADED");
      assert.equal(error.extensions.traceId, headers["x-trace-id"]);
    }
    assert.equal(taken.length, 2, "nobody has read the others");
    for (const response of taken) response.end("done");
    for (const { status, body } of await Promise.all(admitted)) {
      assert.deepEqual([status, body], [200, "done"]);
    }
    const next = ask();
    await until(() => taken.length === 3);
    taken[2]?.end();
    assert.equal((await next).status, 200);
    await until(() => lines.length > 0);
    assert.deepEqual([lines.length, JSON.parse(lines[0] ?? "").refused], [1, 3]);
    const { registry } = metrics;
    const { values = [] } = (await registry.getSingleMetric("piata_answered_total")?.get()) ?? {};
    assert.deepEqual(
      values.map(({ labels, value }) => [labels.code, value]),
      [["RESOURCE_EXHAUSTED", 3]],
    );
  });

  it("gives the place of a client who left to another", async (t) => {
    const { ask, taken } = await guarded(t, 1);
    const leaving = new AbortController();
    const left = ask(leaving.signal).catch(() => "left");
    await until(() => taken.length === 1);
    leaving.abort();
    assert.equal(await left, "left");
    await until(async () => {
      const answer = ask();
      const status = await Promise.race([
        answer.then(({ status }) => status),
        until(() => taken.length === 2).then(() => {
          taken[1]?.end();
          return answer.then(({ status }) => status);
        }),
      ]);
      return status === 200;
    });
  });

  it("gives back the places of requests that waited behind others of a connection that broke", async (t) => {
    const { ask, taken, port } = await guarded(t, 20);
    const socket = connect(port, "127.0.0.1").on("error", () => undefined);
    const one = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    socket.write(`${one.repeat(20)}CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n`);
    await until(() => taken.length === 20 && socket.destroyed);
    const answers = Array.from({ length: 20 }, () => ask());
    await until(() => taken.length === 40);
    for (const response of taken.slice(20)) response.end();
    for (const { status } of await Promise.all(answers)) assert.equal(status, 200);
  });

  it("gives the places of those whose bodies do not come to others", async (t) => {
    const { ask, taken, port } = await guarded(t, 5);
    const slow = Array.from({ length: 10 }, () => {
      const socket = connect(port, "127.0.0.1").on("error", () => undefined);
      socket.write("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nx");
      return socket;
    });
    t.after(() => {
      for (const socket of slow) socket.destroy();
    });
    await until(() => taken.length === 10);
    const answers = Array.from({ length: 5 }, () => ask());
    await until(() => taken.length === 15);
    assert.equal((await ask()).status, 503, "who is served holds a place all the same");
    for (const response of taken) response.end();
    for (const { status } of await Promise.all(answers)) assert.equal(status, 200);
  });

  it("refuses a HEAD without a body", async (t) => {
    const { ask, taken } = await guarded(t, 1);
    const held = ask();
    await until(() => taken.length === 1);
    const { status, body } = await ask(undefined, "HEAD");
    assert.deepEqual([status, body], [503, ""]);
    taken[0]?.end();
    await held;
  });

  it("begins hundreds that come at once, and loses none", async (t) => {
    const { ask, taken } = await guarded(t, 500);
    const answers = Array.from({ length: 300 }, () => ask());
    await until(() => taken.length === 300);
    for (const [index, response] of taken.entries()) response.end(String(index));
    const bodies = (await Promise.all(answers)).map(({ body }) => Number(body));
    assert.deepEqual(
      bodies.toSorted((a, b) => a - b),
      Array.from({ length: 300 }, (_, index) => index),
    );
  });
});

describe("a part of the shop that has too much to do", () => {
  const refusal = (reason: string, retryAfterSeconds?: number) => () => {
    const metadata = retryAfterSeconds && { retryAfterSeconds: String(retryAfterSeconds) };
    throw resourceExhausted(reason, "Too much.", metadata || {});
  };

  /** A gateway whose fields succeed, are refused for load, or for a quota. */
  async function gateway(t: TestContext) {
    const app = await createGateway({
      documents: new Documents({
        schema: buildSchema(
          "type Query { busy: String! maybe: String mine: String } type Mutation { done: String! busy: String! quota: String! login: String! }",
        ),
        introspection: false,
        limits: limitsOf(readConfig(settings, {})),
      }),
      batchMax: 1,
      resolvers: [
        {
          Query: {
            busy: refusal("QUEUE_FULL"),
            maybe: refusal("OVERLOADED"),
            mine: refusal("RATE_LIMITED", 12),
          },
          Mutation: {
            done: () => "done",
            busy: refusal("TOO_MANY_ORDERS"),
            quota: refusal("WRITE_QUOTA_USED_UP"),
            login: refusal("TOO_MANY_FAILED_LOGINS", 37),
          },
        },
      ],
      sessions: {} as never,
      log: openLog("gateway", "error", { write: () => undefined }),
      metrics: new Metrics("gateway"),
      timeoutMs: 5_000,
      requestsMax: 10,
      bodyBytesMax: 10_000,
      graphiql: false,
      imagesDir: undefined,
      linesPerSecond: 20,
    });
    t.after(() => app.close());
    return async (query: string) => {
      const { statusCode, headers } = await app.inject({
        method: "POST",
        url: "/graphql",
        payload: { query },
      });
      return [statusCode, headers["retry-after"]];
    };
  }

  it("is HTTP 503 with Retry-After when the answer has nothing else", async (t) => {
    const ask = await gateway(t);
    assert.deepEqual(await ask("{ busy }"), [503, "1"]);
    assert.deepEqual(await ask("mutation { busy }"), [503, "1"]);
    assert.deepEqual(await ask("{ maybe }"), [200, "1"], "the field may be missing");
  });

  it("does not have a mutation repeated of which a part was done", async (t) => {
    const ask = await gateway(t);
    assert.deepEqual(await ask("mutation { done busy }"), [200, undefined]);
  });

  it("is not somebody who asks too often: that is HTTP 429, and they are told when", async (t) => {
    const ask = await gateway(t);
    assert.deepEqual(await ask("mutation { login }"), [429, "37"]);
    assert.deepEqual(await ask("{ mine }"), [200, "12"], "the field may be missing");
    assert.deepEqual(await ask("{ mine busy }"), [503, "12"], "both");
    assert.deepEqual(await ask("mutation { done login }"), [200, undefined]);
  });

  it("is not somebody's quota", async (t) => {
    const ask = await gateway(t);
    assert.deepEqual(await ask("mutation { quota }"), [200, undefined]);
  });
});
