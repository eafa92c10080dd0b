import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { Server as GrpcServer, ServerCredentials } from "@grpc/grpc-js";
import { type Instance, Probe } from "@piata/contracts/discovery";
import { serve } from "@piata/kit/trial";
import { probeOf } from "./probe.js";
import { trialInstance } from "./trial-instance.js";

const TIMEOUT_MS = 700;

async function listen(t: TestContext, server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Takes connections and does with them what the test says. */
async function listenRaw(t: TestContext, connected: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const address = await listen(
    t,
    createServer((socket) => {
      sockets.add(socket.on("error", () => undefined));
      connected(socket);
    }),
  );
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  return address;
}

async function nobody(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return `127.0.0.1:${port}`;
}

function open(t: TestContext, probe: Probe, address: string) {
  const instance: Instance = trialInstance("a", "a", { address, httpAddress: address, probe });
  const opened = probeOf(instance);
  assert.ok(opened);
  t.after(() => opened.close());
  return opened;
}

for (const [name, probe] of [
  ["by gRPC", Probe.GRPC],
  ["by HTTP", Probe.HTTP],
] as const) {
  describe(`a probe ${name}`, { concurrency: true }, () => {
    it("finds dead where nobody listens", async (t) => {
      const outcome = await open(t, probe, await nobody()).ask();
      assert.deepEqual(outcome, { verdict: "DEAD", why: "connection refused" });
    });

    it("finds no answer, in time, where somebody listens and says nothing", async (t) => {
      const opened = open(t, probe, await listenRaw(t, () => undefined));
      const start = performance.now();
      assert.deepEqual(await opened.ask(), { verdict: "NO_ANSWER", why: "no answer" });
      assert.ok(performance.now() - start > TIMEOUT_MS - 50);
    });

    it("does not take a name that cannot be looked up for a death", async (t) => {
      const outcome = await open(t, probe, "no-such-host.invalid:80").ask();
      assert.equal(outcome.verdict, "NO_ANSWER");
    });
  });
}

describe("a probe by gRPC", () => {
  it("finds serving, and not any more when the server drains", async (t) => {
    const trial = await serve({});
    t.after(() => trial.close());
    const opened = open(t, Probe.GRPC, trial.address);
    assert.deepEqual(await opened.ask(), { verdict: "SERVING" });
    trial.server.drain();
    const said = { verdict: "NOT_SERVING", why: "says NOT_SERVING" };
    assert.deepEqual(await opened.ask(), said);
  });

  it("says what a server without the health service lacks", async (t) => {
    const server = new GrpcServer();
    t.after(() => server.forceShutdown());
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    const outcome = await open(t, Probe.GRPC, `127.0.0.1:${port}`).ask();
    assert.deepEqual(outcome, {
      verdict: "NOT_SERVING",
      why: "has no grpc.health.v1 service",
    });
  });
});

describe("a probe by HTTP", () => {
  it("goes by the status of /healthz", async (t) => {
    let status = 200;
    const asked: (string | undefined)[] = [];
    const server = createHttpServer((request, response) => {
      asked.push(request.url);
      response.writeHead(status).end();
    });
    const opened = open(t, Probe.HTTP, await listen(t, server));
    assert.deepEqual(await opened.ask(), { verdict: "SERVING" });
    status = 503;
    assert.deepEqual(await opened.ask(), { verdict: "NOT_SERVING", why: "says NOT_SERVING" });
    status = 500;
    assert.deepEqual(await opened.ask(), { verdict: "NOT_SERVING", why: "answers 500" });
    assert.deepEqual(new Set(asked), new Set(["/healthz"]));
  });

  it("finds dead where the connection is reset", async (t) => {
    const address = await listenRaw(t, (socket) => socket.resetAndDestroy());
    const outcome = await open(t, Probe.HTTP, address).ask();
    assert.deepEqual(outcome, { verdict: "DEAD", why: "connection reset" });
  });
});

it("an instance that does not ask for it is not probed", () => {
  assert.equal(probeOf(trialInstance("a")), undefined);
});
