import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import { CartServiceService } from "@piata/contracts/cart";
import { CatalogServiceService } from "@piata/contracts/catalog";
import { until } from "@piata/testkit/until";
import { joinAddress, splitAddress } from "./address.js";
import { Caller, ownContext } from "./context.js";
import { Channel } from "./rpc-client.js";
import type { InstanceSource } from "./target.js";
import { soon } from "./trial.js";

type Reply = (error: { code: number; details: string } | null, value?: object) => void;
type Method = (call: { cancelled: boolean; getDeadline(): Date | number }, reply: Reply) => void;

/** An instance of the catalog and the cart whose two methods the test writes. */
async function instance(t: TestContext, method: Method, host = "127.0.0.1", port = 0) {
  const server = new Server();
  const count = { calls: 0 };
  const counted = (call: never, reply: never) => {
    count.calls += 1;
    method(call, reply);
  };
  server.addService(CatalogServiceService, { batchGetProducts: counted } as never);
  server.addService(CartServiceService, { batchChangeCarts: counted } as never);
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, ServerCredentials.createInsecure(), (error, found) =>
      error ? reject(error) : resolve(found),
    );
  });
  t.after(() => server.forceShutdown());
  return { address: joinAddress(host, bound), count, kill: () => server.forceShutdown() };
}

const answer: Method = (_, reply) => reply(null, { results: [] });
const never: Method = () => undefined;
const refuse: Method = (_, reply) => reply({ code: status.UNAVAILABLE, details: "away" });

/** A channel to instances that the test lists. */
function channelTo(t: TestContext, ...instances: { address: string }[]) {
  const source: InstanceSource = {
    subscribe: (_, listener) => {
      const told = setImmediate(() => listener(instances));
      return () => clearImmediate(told);
    },
  };
  const channel = new Channel({
    service: "catalog",
    target: "discovery:///catalog",
    caller: "test",
    discovery: source,
  });
  t.after(() => channel.close());
  const read = channel.client(CatalogServiceService).batchGetProducts;
  const write = channel.client(CartServiceService).batchChangeCarts;
  return {
    read: (context = soon()) => read({ items: [] }, context),
    write: (context = soon()) => write({ items: [] }, context),
    instances: () => read.instances(),
  };
}

/** A place that takes connections and never says a word, as a stopped process does. */
async function silent(t: TestContext) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => undefined));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { address: joinAddress("127.0.0.1", (server.address() as AddressInfo).port) };
}

const unreachable = { code: "UNAVAILABLE", reason: "SERVICE_UNREACHABLE" };

describe("a call", () => {
  it("that may be repeated is answered by another instance when one is away", async (t) => {
    const [well, ill] = [await instance(t, answer), await instance(t, refuse)];
    const { read } = channelTo(t, well, ill);
    for (let calls = 0; calls < 40; calls += 1) await read();
    assert.equal(well.count.calls, 40);
    assert.ok(ill.count.calls >= 3, "it was tried");
    assert.ok(ill.count.calls <= 6, `it was left alone soon, after ${ill.count.calls} calls`);
  });

  it("that may not be repeated fails with its instance", async (t) => {
    const ill = await instance(t, refuse);
    const { write } = channelTo(t, ill);
    await assert.rejects(write(), unreachable);
    assert.equal(ill.count.calls, 1);
  });

  it("under way is repeated elsewhere when its instance dies", async (t) => {
    const [well, ill] = [await instance(t, answer), await instance(t, never)];
    const { read, instances } = channelTo(t, well, ill);
    await read(ownContext(200)).catch(() => undefined);
    await until(() => instances() === 2);
    const calls = Array.from({ length: 6 }, () => read());
    await until(() => ill.count.calls > 0);
    ill.kill();
    await Promise.all(calls);
  });

  it("shares its time among the instances, when the first hangs", async (t) => {
    const [well, hung] = [await instance(t, answer), await instance(t, never)];
    const { read, instances } = channelTo(t, well, hung);
    await read(ownContext(200)).catch(() => undefined);
    await until(() => instances() === 2);
    for (let calls = 0; calls < 4; calls += 1) await read(ownContext(900));
    assert.ok(hung.count.calls > 0, "it was tried");
    const late = { code: "DEADLINE_EXCEEDED", reason: "DEADLINE" };
    const alone = channelTo(t, hung);
    await assert.rejects(alone.write(ownContext(50)), late);
    await assert.rejects(alone.read(ownContext(50)), late);
  });

  it("goes round an instance that hangs, and returns to it when it answers again", async (t) => {
    let hangs = true;
    const well = await instance(t, answer);
    const moody = await instance(t, (call, reply) => (hangs ? undefined : answer(call, reply)));
    const { read, instances } = channelTo(t, well, moody);
    await until(async () => {
      await read(ownContext(800));
      return moody.count.calls >= 3;
    });
    assert.equal(instances(), 1);
    const tried = moody.count.calls;
    for (let calls = 0; calls < 10; calls += 1) await read();
    assert.equal(moody.count.calls, tried);
    hangs = false;
    await until(async () => {
      await read();
      return moody.count.calls > tried;
    });
    await until(() => instances() === 2);
  });

  it("to a target that answers nothing is refused at once, until it answers again", async (t) => {
    const gone = await instance(t, answer);
    const { write } = channelTo(t, gone);
    await write();
    gone.kill();
    for (let calls = 0; calls < 5; calls += 1) await assert.rejects(write(), unreachable);
    const start = performance.now();
    for (let calls = 0; calls < 100; calls += 1) await assert.rejects(write(), unreachable);
    assert.ok(performance.now() - start < 100, "nobody was asked");
    const { host, port } = splitAddress(gone.address);
    await instance(t, answer, host, port);
    await until(
      () =>
        write().then(
          () => true,
          () => false,
        ),
      { timeoutMs: 3_000 },
    );
    for (let calls = 0; calls < 20; calls += 1) await write();
  });

  it("does not count an answered Failure against the instance or the target", async (t) => {
    const details = "no";
    const picky = await instance(t, (_, reply) => reply({ code: status.NOT_FOUND, details }));
    const { read, write, instances } = channelTo(t, picky, await instance(t, answer));
    for (let calls = 0; calls < 30; calls += 1) {
      await Promise.allSettled([read(), write()]);
    }
    assert.equal(instances(), 2);
    assert.ok(picky.count.calls >= 28);
  });

  it("is cancelled when its caller leaves, and not repeated", async (t) => {
    let cancelled = 0;
    const hung = await instance(t, (call) => {
      const watch = setInterval(() => {
        if (!call.cancelled) return;
        cancelled += 1;
        clearInterval(watch);
      }, 5);
    });
    const { read } = channelTo(t, hung);
    const caller = new Caller();
    const call = read({ ...soon(), caller });
    await until(() => hung.count.calls === 1);
    caller.leave();
    await assert.rejects(call);
    await until(() => cancelled === 1);
    assert.equal(hung.count.calls, 1);
    await assert.rejects(read({ ...soon(), caller }), "one who has left asks for nothing");
    assert.equal(hung.count.calls, 1);
  });

  it("gets the time that its caller has left, on the wire too", async (t) => {
    const left: number[] = [];
    const near = await instance(t, (call, reply) => {
      left.push(Number(call.getDeadline()) - Date.now());
      answer(call as never, reply);
    });
    const { write } = channelTo(t, near);
    await write(ownContext(5_000));
    assert.ok((left[0] ?? 0) > 3_000 && (left[0] ?? 0) <= 5_050, `${left[0]} ms were left`);
  });

  it("that comes too late is not sent, and says nothing against the service", async (t) => {
    const well = await instance(t, answer);
    const { write } = channelTo(t, well);
    for (let calls = 0; calls < 10; calls += 1) {
      await assert.rejects(write(ownContext(-1)), { code: "DEADLINE_EXCEEDED" });
    }
    await write();
    assert.equal(well.count.calls, 1);
  });

  it("begun after one of two instances has died with many calls is not refused", async (t) => {
    const held: (() => void)[] = [];
    const slow: Method = (call, reply) => void held.push(() => answer(call, reply));
    const [well, ill] = [await instance(t, slow), await instance(t, slow)];
    const { write, instances } = channelTo(t, well, ill);
    const outcome = () =>
      write().then(
        () => "answered",
        () => "lost",
      );
    const calls = [outcome()];
    await until(() => held.length === 1 && instances() === 2);
    for (let more = 0; more < 20; more += 1) calls.push(outcome());
    await until(() => held.length === 21);
    ill.kill();
    await until(() => instances() === 1);
    const later = Array.from({ length: 10 }, () => write());
    await until(() => held.length === 31);
    for (const release of held) release();
    await Promise.all(later);
    assert.deepEqual(new Set(await Promise.all(calls)), new Set(["answered", "lost"]));
  });

  it("of which no instance was ever known fails soon instead of waiting", async (t) => {
    const { read } = channelTo(t);
    const start = performance.now();
    await assert.rejects(read(), unreachable);
    assert.ok(performance.now() - start < 5_000);
  });

  it("to a process that takes connections and says nothing ends with its deadline", async (t) => {
    const { write } = channelTo(t, await silent(t));
    await assert.rejects(write(ownContext(200)), { code: "DEADLINE_EXCEEDED" });
  });
});

describe("a name with more and more addresses", () => {
  it("has its new instances called, without a connection having failed", async (t) => {
    const first = await instance(t, answer);
    const { port } = splitAddress(first.address);
    const second = await instance(t, answer, "127.0.0.2", port);
    const hosts = ["127.0.0.1"];
    const channel = new Channel({
      service: "catalog",
      target: `dns:///catalog.shop:${port}`,
      caller: "test",
      lookup: async () => hosts,
    });
    t.after(() => channel.close());
    const { batchGetProducts } = channel.client(CatalogServiceService);
    await batchGetProducts({ items: [] }, soon());
    assert.equal(second.count.calls, 0);
    hosts.push("127.0.0.2");
    await until(async () => {
      await batchGetProducts({ items: [] }, soon());
      return second.count.calls > 0;
    });
    hosts.shift();
    await until(() => batchGetProducts.instances() === 1);
    const calls = first.count.calls;
    await until(async () => {
      await batchGetProducts({ items: [] }, soon());
      return second.count.calls > 5;
    });
    assert.ok(first.count.calls - calls <= 1);
  });
});
