import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { ConfigError } from "@piata/kit/config";
import { openLog } from "@piata/kit/log";
import { until } from "@piata/testkit/until";
import fastify from "fastify";
import { Listener } from "./listener.js";

const log = openLog("listener-test", "error");

/** A listener in front of an application that answers / at once and /slow when it is told to. */
async function listen(t: TestContext, options: { idleMs?: number; listenFd?: number } = {}) {
  const app = fastify();
  const { promise: told, resolve: answerSlow } = Promise.withResolvers<void>();
  const slow = { asked: 0, answer: answerSlow };
  app.get("/", async () => "now");
  app.get("/slow", async () => {
    slow.asked += 1;
    await told;
    return "late";
  });
  const { idleMs = 10_000, ...where } = options;
  const listener = new Listener(app, { host: "127.0.0.1", port: 0, idleMs, log, ...where });
  t.after(() => app.server.closeAllConnections());
  await listener.open();
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const { port } = listener;
  const get = (path = "/") => answerTo({ port, path, agent });
  return { listener, port, get, slow };
}

async function answerTo(where: { port: number; path: string; agent: Agent }) {
  const asked = request({ host: "127.0.0.1", ...where }).end();
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  const text = (await response.setEncoding("utf8").toArray()).join("");
  return { text, connection: response.headers.connection, reused: asked.reusedSocket };
}

async function open(port: number) {
  const socket = connect(port, "127.0.0.1").resume();
  await once(socket, "connect");
  return socket;
}

describe("a gateway that stops", () => {
  it("answers on the connections that clients have kept, and that answer is their last", async (t) => {
    const { listener, get } = await listen(t);
    assert.deepEqual(await get(), { text: "now", connection: "keep-alive", reused: false });
    const closed = listener.close(10_000);
    assert.deepEqual(await get(), { text: "now", connection: "close", reused: true });
    await closed;
  });

  it("takes connections while it drains on a port of its own, and refuses them after", async (t) => {
    const { listener, port, get } = await listen(t);
    listener.drain();
    assert.deepEqual(await get(), { text: "now", connection: "close", reused: false });
    await listener.close(10_000);
    await assert.rejects(open(port), { code: "ECONNREFUSED" });
  });

  it("finishes what it has, however long other connections have been idle", async (t) => {
    const { listener, port, get, slow } = await listen(t, { idleMs: 0 });
    const late = get("/slow");
    const kept = await open(port);
    await until(() => slow.asked === 1);
    const closed = listener.close(10_000);
    await assert.rejects(open(port), { code: "ECONNREFUSED" });
    await once(kept, "close");
    slow.answer();
    assert.equal((await late).text, "late");
    await closed;
  });

  it("does not wait for connections on which nothing is asked any more or was ever", async (t) => {
    const { listener, port, get } = await listen(t, { idleMs: 50 });
    await get();
    const silent = await open(port);
    const ended = once(silent, "close");
    await listener.close(10_000);
    await ended;
  });

  it("cuts off what has not finished in time", async (t) => {
    const { listener, get, slow } = await listen(t);
    const late = assert.rejects(get("/slow"), { code: "ECONNRESET" });
    await until(() => slow.asked === 1);
    await listener.close(100);
    await late;
    slow.answer();
  });

  it("says so when what it should listen on is not a socket", async (t) => {
    await assert.rejects(listen(t, { listenFd: 9_999 }), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, /GATEWAY_LISTEN_FD: 9999 is not a bound TCP socket/);
      return true;
    });
  });
});
