// What a call comes to, whatever carries it: one suite for sockets and for the process itself.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type * as payment from "@piata/contracts/payment";
import { until } from "@piata/testkit/until";
import { Observable } from "rxjs";
import { Caller, ownContext } from "./context.js";
import { notFound } from "./errors.js";
import {
  CARRIERS,
  charged,
  chargeItem,
  gate,
  openTrialLog,
  type ServeOptions,
  serve as serveTrial,
  soon,
  type TrialHandlers,
  traceId,
} from "./trial.js";

const CHARGE = "piata.payment.v1.PaymentService/BatchCharge";
const listing = { instances: [], settled: true, withdrawnIds: [] };

for (const over of CARRIERS) {
  const serve = (handlers: TrialHandlers, options: ServeOptions = {}) =>
    serveTrial(handlers, { ...options, over });

  describe(`a call over ${over}`, () => {
    it("carries a message as the contract writes it, and shares no object", async (t) => {
      let received: payment.BatchChargeRequest | undefined;
      const results = [charged];
      const trial = await serve({
        batchCharge: async (request) => {
          received = request;
          return { results };
        },
      });
      t.after(() => trial.close());
      const item = chargeItem(1);
      const answer = await trial.payment.batchCharge({ items: [item] }, soon());
      assert.deepEqual(received?.items, [item]);
      assert.notEqual(received?.items[0], item);
      assert.deepEqual(answer.results[0]?.payment, charged.payment);
      assert.notEqual(answer.results[0]?.payment, results[0]?.payment);
    });

    it("ends with the handler's Failure, with its code, reason and metadata", async (t) => {
      const trial = await serve({
        batchCharge: async () => {
          throw notFound("NO_SUCH_CARD", "There is no such card.", { card: "7" });
        },
      });
      t.after(() => trial.close());
      await assert.rejects(trial.payment.batchCharge({ items: [chargeItem(1)] }, soon()), {
        code: "NOT_FOUND",
        reason: "NO_SUCH_CARD",
        message: "There is no such card.",
        metadata: { card: "7" },
      });
    });

    it("ends with its deadline, and its server knows", async (t) => {
      const { log, lines } = openTrialLog();
      const trial = await serve({ batchCharge: () => new Promise(() => undefined) }, { log });
      t.after(() => trial.server.close(0));
      const call = trial.payment.batchCharge({ items: [chargeItem(1)] }, ownContext(300));
      await assert.rejects(call, { code: "DEADLINE_EXCEEDED", reason: "DEADLINE" });
      const isOver = ({ rpc, code }: Record<string, unknown>) =>
        rpc === CHARGE && code !== undefined;
      const line = await until(() => lines().find(isOver));
      assert.equal(line.code, "DEADLINE_EXCEEDED");
      trial.channel.close();
    });

    it("is cancelled when its caller leaves, and its server knows", async (t) => {
      const { log, lines } = openTrialLog();
      const begun = gate();
      const trial = await serve(
        {
          batchCharge: () => {
            begun.resolve();
            return new Promise(() => undefined);
          },
        },
        { log },
      );
      t.after(() => trial.server.close(0));
      const caller = new Caller();
      const call = trial.payment.batchCharge({ items: [chargeItem(1)] }, { ...soon(), caller });
      await begun.promise;
      caller.leave();
      await assert.rejects(call, { reason: "SERVICE_UNREACHABLE" });
      await until(() => lines().some(({ code }) => code === "CANCELLED"));
      trial.channel.close();
    });

    it("is answered by its deadline when it is begun with little time, or none", async (t) => {
      const trial = await serve({ batchCharge: () => new Promise(() => undefined) });
      t.after(() => trial.server.close(0));
      for (const ms of [-1, 0, 1, 20]) {
        const call = trial.payment.batchCharge({ items: [chargeItem(1)] }, ownContext(ms));
        await assert.rejects(call, { code: "DEADLINE_EXCEEDED" });
      }
      trial.channel.close();
    });

    it("with more than 16 MiB, there or back, is refused", async (t) => {
      const [paymentMethod, declineReason] = Array(2).fill("x".repeat(17 * 1024 * 1024));
      const trial = await serve({
        batchCharge: async () => ({ results: [{ payment: { state: 1, declineReason } }] }),
      });
      t.after(() => trial.close());
      const large = { ...chargeItem(1), paymentMethod };
      const refused = { code: "RESOURCE_EXHAUSTED", reason: "MESSAGE_TOO_LARGE" };
      await assert.rejects(trial.payment.batchCharge({ items: [large] }, soon()), refused);
      await assert.rejects(trial.payment.batchCharge({ items: [chargeItem(1)] }, soon()), refused);
    });
  });

  describe(`the log of a server, over ${over}`, () => {
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

  describe(`a server that has too much to do, over ${over}`, () => {
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

  describe(`the end of a server, over ${over}`, () => {
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
      const more = trial.payment.batchCharge({ items: [chargeItem(2)] }, soon());
      await assert.rejects(more, { reason: "SERVICE_UNREACHABLE" });
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

  describe(`a stream, over ${over}`, () => {
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
}
