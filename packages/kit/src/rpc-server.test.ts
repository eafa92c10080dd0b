import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { Client, credentials, type MethodDefinition } from "@grpc/grpc-js";
import { Controller } from "@nestjs/common";
import { until } from "@piata/testkit/until";
import { service as health } from "grpc-health-check";
import { Observable } from "rxjs";
import { notFound } from "./errors.js";
import { fromEveryone, Rpc } from "./permission.js";
import {
  charged,
  chargeItem,
  DiscoveryTrial,
  gate,
  openTrialLog,
  PaymentTrial,
  serve,
  soon,
  traceId,
} from "./trial.js";

const CHARGE = "piata.payment.v1.PaymentService/BatchCharge";
const listing = { instances: [], settled: true, withdrawnIds: [] };

function checkHealth(address: string, serviceName: string): Promise<string> {
  const client = new Client(address, credentials.createInsecure());
  const { path, requestSerialize, responseDeserialize } = health.Check as MethodDefinition<
    { service: string },
    { status: string }
  >;
  return new Promise<string>((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      { service: serviceName },
      (error, answer) => {
        client.close();
        if (error) reject(error);
        else resolve(answer?.status ?? "nothing");
      },
    );
  });
}

describe("the log of a server", () => {
  it("has one line per call, with who, what and how long, and nothing of its body", async (t) => {
    const { log, lines, text } = openTrialLog();
    const trial = await serve({ batchCharge: async () => ({ results: [charged] }) }, { log });
    t.after(() => trial.close());
    await trial.payment.batchCharge({ items: [chargeItem(1)] }, soon());
    const [line, ...more] = lines().filter(({ msg }) => msg === "call");
    assert.deepEqual(more, []);
    const { rpc, code, reason, caller, durationMs } = line ?? {};
    assert.deepEqual([rpc, code, reason, caller], [CHARGE, "OK", undefined, "test"]);
    assert.deepEqual([line?.traceId, line?.items], [traceId, 1]);
    assert.ok(typeof durationMs === "number" && durationMs > 0 && durationMs < 10_000);
    assert.doesNotMatch(text(), /sandbox-secret-card|EUR|amountMinor/);
  });

  it("has the reason of a failed call, never its message, which may quote the caller", async (t) => {
    const { log, lines, text } = openTrialLog();
    const handlers = {
      batchCharge: async () => {
        throw notFound("NO_SUCH_CARD", "There is no card 4111.");
      },
    };
    const trial = await serve(handlers, { log });
    t.after(() => trial.close());
    await assert.rejects(trial.payment.batchCharge({ items: [chargeItem(1)] }, soon()));
    const line = lines().find(({ msg }) => msg === "call");
    assert.deepEqual([line?.code, line?.reason], ["NOT_FOUND", "NO_SUCH_CARD"]);
    assert.equal(line?.traceId, traceId);
    assert.doesNotMatch(text(), /4111/);
  });

  it("ties a bug to its call and its trace", async (t) => {
    const { log, lines } = openTrialLog();
    const handlers = {
      batchCharge: async () => {
        throw new TypeError("a bug");
      },
    };
    const trial = await serve(handlers, { log });
    t.after(() => trial.close());
    await assert.rejects(trial.payment.batchCharge({ items: [chargeItem(1)] }, soon()));
    const bug = lines().find(({ level }) => level === "error");
    assert.deepEqual([bug?.rpc, bug?.traceId], [CHARGE, traceId]);
  });

  it("counts each call in the metrics by its code", async (t) => {
    const trial = await serve({ batchCharge: async () => ({ results: [charged] }) });
    t.after(() => trial.close());
    await trial.payment.batchCharge({ items: [chargeItem(1)] }, soon());
    const { registry } = trial.metrics;
    const { values = [] } = (await registry.getSingleMetric("piata_answered_total")?.get()) ?? {};
    const counted = values.map(({ labels: { method, code }, value }) => [method, code, value]);
    assert.deepEqual(counted, [[CHARGE, "OK", 1]]);
  });
});

describe("the start of a server", () => {
  it("is refused when a method has no handler, and then nothing listens", async () => {
    @Controller()
    class Forgetful {
      @Rpc("PaymentService", fromEveryone)
      async batchCharge() {
        return { results: [] };
      }
    }
    await assert.rejects(
      serve({}, { controllers: [Forgetful, DiscoveryTrial] }),
      /PaymentService\/BatchVoid has no @Rpc handler/,
    );
  });

  it("is refused when its port is taken", async (t) => {
    const trial = await serve({});
    t.after(() => trial.close());
    await assert.rejects(serve({}, { port: trial.server.port }), /EADDRINUSE|address already/i);
  });

  it("takes handlers from several controllers", async (t) => {
    const trial = await serve(
      { heartbeat: async () => ({ leaseMs: 5 }), batchVoid: async () => ({ results: [] }) },
      { controllers: [PaymentTrial, DiscoveryTrial] },
    );
    t.after(() => trial.close());
    assert.deepEqual(await trial.discovery.heartbeat({ instance: undefined }, soon()), {
      leaseMs: 5,
    });
    assert.deepEqual(await trial.payment.batchVoid({ items: [] }, soon()), { results: [] });
  });
});

describe("the health of a server", () => {
  it("is SERVING, for the whole and for each service, until it drains", async (t) => {
    const trial = await serve({});
    t.after(() => trial.close());
    for (const name of ["", "piata.payment.v1.PaymentService"]) {
      assert.equal(await checkHealth(trial.address, name), "SERVING");
    }
    trial.server.drain();
    for (const name of ["", "piata.payment.v1.PaymentService"]) {
      assert.equal(await checkHealth(trial.address, name), "NOT_SERVING");
    }
    await assert.rejects(checkHealth(trial.address, "no.such.Service"), { code: 5 });
  });
});

describe("a server that has too much to do", () => {
  it("refuses at once what is more than it can work on, and takes more when there is room", async (t) => {
    const finish = gate();
    const trial = await serve({
      batchCharge: async () => {
        await finish.promise;
        return { results: [charged] };
      },
    });
    t.after(() => trial.close());
    const call = () => trial.payment.batchCharge({ items: [chargeItem(1)] }, soon());
    const calls = Array.from({ length: 300 }, () => call().catch((error) => error));
    const refused = await Promise.all(calls.slice(256));
    for (const failure of refused) {
      assert.deepEqual([failure.code, failure.reason], ["RESOURCE_EXHAUSTED", "OVERLOADED"]);
    }
    finish.resolve();
    for (const answer of await Promise.all(calls.slice(0, 256))) assert.ok("results" in answer);
    await call();
  });
});

describe("the end of a server", () => {
  it("waits for a call in flight", async () => {
    const [begun, finish] = [gate(), gate()];
    const trial = await serve({
      batchCharge: async () => {
        begun.resolve();
        await finish.promise;
        return { results: [charged] };
      },
    });
    const call = trial.payment.batchCharge({ items: [chargeItem(1)] }, soon());
    await begun.promise;
    const closed = trial.server.close(10_000);
    await assert.rejects(checkHealth(trial.address, ""), "new calls are refused");
    finish.resolve();
    assert.deepEqual((await call).results[0]?.payment, charged.payment);
    await closed;
    trial.channel.close();
  });

  it("cuts a call off that outlasts the bound", async () => {
    const [begun, finish] = [gate(), gate()];
    const trial = await serve({
      batchCharge: async () => {
        begun.resolve();
        await finish.promise;
        return { results: [charged] };
      },
    });
    const cut = assert.rejects(trial.payment.batchCharge({ items: [chargeItem(1)] }, soon()), {
      code: "UNAVAILABLE",
    });
    await begun.promise;
    const start = performance.now();
    await trial.server.close(50);
    assert.ok(performance.now() - start < 2_000);
    await cut;
    finish.resolve();
    trial.channel.close();
  });

  it("does not wait for a caller whose network is gone", async () => {
    const trial = await serve({ batchCharge: async () => ({ results: [charged] }) });
    // It has begun to speak HTTP/2, and says nothing more: not even that it has heard of the end.
    const [host, port] = trial.address.split(":") as [string, string];
    const caller = connect({ host, port: Number(port), allowHalfOpen: true });
    caller.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    await once(caller, "data");
    caller.resume();
    const start = performance.now();
    await trial.server.close(50);
    assert.ok(performance.now() - start < 2_000);
    caller.destroy();
    trial.channel.close();
  });

  it("ends the streams there are when it drains, and those opened since when it closes", async () => {
    let ended = 0;
    const trial = await serve({
      watch: () =>
        new Observable((watcher) => {
          watcher.next(listing);
          return () => {
            ended += 1;
          };
        }),
    });
    const open = async () => {
      const messages = trial.discovery.watch({})[Symbol.asyncIterator]();
      assert.deepEqual(await messages.next(), { done: false, value: listing });
      return messages;
    };
    const early = await open();
    trial.server.drain();
    assert.equal((await early.next()).done, true);
    const late = await open();
    const start = performance.now();
    await trial.server.close(10_000);
    assert.equal((await late.next()).done, true);
    assert.ok(performance.now() - start < 2_000);
    assert.equal(ended, 2);
    trial.channel.close();
  });
});

describe("a stream", () => {
  it("is unsubscribed when its caller breaks off or aborts", async (t) => {
    let [opened, ended] = [0, 0];
    const trial = await serve({
      watch: () =>
        new Observable((watcher) => {
          opened += 1;
          watcher.next(listing);
          return () => {
            ended += 1;
          };
        }),
    });
    t.after(() => trial.close());
    for await (const _ of trial.discovery.watch({})) break;
    await until(() => ended === 1);
    const stop = new AbortController();
    for await (const _ of trial.discovery.watch({}, stop.signal)) stop.abort();
    await until(() => ended === 2);
    for await (const _ of trial.discovery.watch({}, stop.signal)) assert.fail("it was aborted");
    await until(() => ended === opened);
  });

  it("ends when its caller does not read it, and what it says does not pile up", async (t) => {
    const long = { ...listing, withdrawnIds: ["x".repeat(10_000)] };
    let [said, ended] = [0, false];
    const trial = await serve({
      watch: () =>
        new Observable((watcher) => {
          const speak = setInterval(() => {
            watcher.next(long);
            said += 1;
          }, 5);
          return () => {
            clearInterval(speak);
            ended = true;
          };
        }),
    });
    t.after(() => trial.close());
    const messages = trial.discovery.watch({})[Symbol.asyncIterator]();
    for (let read = 0; read < 50; read += 1) {
      assert.equal((await messages.next()).done, false);
    }
    await until(() => ended);
    const unread = said - 50;
    assert.ok(unread < 200, `${unread} messages waited`);
  });
});
