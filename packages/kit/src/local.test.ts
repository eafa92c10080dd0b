// What is different within the process; what is the same is in calls.test.ts.
import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { describe, it } from "node:test";
import { DiscoveryServiceService, type WatchResponse } from "@piata/contracts/discovery";
import { PaymentServiceService } from "@piata/contracts/payment";
import { until } from "@piata/testkit/until";
import { ConfigError } from "./config.js";
import { guard } from "./guard.js";
import { LocalNetwork } from "./local.js";
import { LocalServer } from "./local-server.js";
import { onlyFrom } from "./permission.js";
import { Channel } from "./rpc-client.js";
import { chargeItem, soon } from "./trial.js";

type Reply = (error: null, value: object) => void;
interface Watcher {
  write(message: WatchResponse): boolean;
  end(): void;
  on(event: "drain", listener: () => void): void;
}

const listing: WatchResponse = { instances: [], settled: true, withdrawnIds: [] };

/** A process with a program called payment that charges, and one called discovery that is watched. */
function processWith({
  charge = (_: unknown, reply: Reply) => reply(null, { results: [] }),
  watch = (watcher: Watcher) => watcher.end(),
} = {}) {
  const network = new LocalNetwork();
  const permissions = new Map([
    [PaymentServiceService.batchCharge.path, onlyFrom("order")],
    [DiscoveryServiceService.watch.path, onlyFrom("order")],
  ]);
  const interceptors = [guard({ permissions, passports: undefined, isSecure: true })];
  const server = new LocalServer(interceptors);
  server.addService(PaymentServiceService, { batchCharge: charge } as never);
  server.addService(DiscoveryServiceService, { watch } as never);
  const from = (caller: string, to = "payment") =>
    new Channel({ service: to, target: `local:///${to}`, caller, network });
  return {
    server,
    serve: () => network.serve("payment", server),
    charge: (caller = "order") =>
      from(caller)
        .client(PaymentServiceService)
        .batchCharge({ items: [chargeItem(1)] }, soon()),
    watch: (signal?: AbortSignal) =>
      from("order").client(DiscoveryServiceService).watch({}, signal)[Symbol.asyncIterator](),
  };
}

describe("a target within the process", () => {
  it("is only for programs that share one", () => {
    const to = { service: "payment", target: "local:///payment", caller: "order" };
    assert.throws(() => new Channel(to), ConfigError);
  });

  it("is called by the program that the channel is of, as if it had shown a certificate", async () => {
    const { serve, charge } = processWith();
    serve();
    assert.deepEqual(await charge("order"), { results: [] });
    await assert.rejects(charge("cart"), { reason: "CALLER_NOT_ALLOWED" });
  });

  it("is not reachable before it serves and after it has drained", async () => {
    const { server, serve, charge } = processWith();
    await assert.rejects(charge(), { reason: "SERVICE_UNREACHABLE" });
    serve();
    await charge();
    await server.drain();
    await assert.rejects(charge(), { reason: "SERVICE_UNREACHABLE" });
  });

  it("has its streams wait until it serves, unless they are broken off", async () => {
    let watchers = 0;
    const { serve, watch } = processWith({
      watch: (watcher) => {
        watchers += 1;
        watcher.write(listing);
        watcher.end();
      },
    });
    const stop = new AbortController();
    const left = watch(stop.signal).next();
    const waiting = watch().next();
    stop.abort();
    assert.equal((await left).done, true);
    serve();
    assert.deepEqual(await waiting, { done: false, value: listing });
    assert.equal(watchers, 1);
  });

  it("is called outside what its caller is doing", async () => {
    const doing = new AsyncLocalStorage<string>();
    let seen: string | undefined = "not called";
    const { serve, charge } = processWith({
      charge: (_, reply) => {
        seen = doing.getStore();
        reply(null, { results: [] });
      },
    });
    serve();
    await doing.run("a trace", async () => {
      await charge();
      assert.equal(doing.getStore(), "a trace");
    });
    assert.equal(seen, undefined);
  });

  it("is told to wait by a watcher that does not read", async () => {
    let written = 0;
    const { serve, watch } = processWith({
      watch: (watcher) => {
        const write = () => {
          do written += 1;
          while (watcher.write(listing));
        };
        watcher.on("drain", write);
        write();
      },
    });
    serve();
    const stop = new AbortController();
    const messages = watch(stop.signal);
    await messages.next();
    const before = written;
    assert.ok(before < 100, `${before} messages were written for one that was read`);
    for (let read = 0; read < 200; read += 1) await messages.next();
    await until(() => written > before);
    assert.ok(written < 400);
    stop.abort();
  });
});
