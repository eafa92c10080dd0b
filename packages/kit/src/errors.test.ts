import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { DiscoveryServiceService } from "@piata/contracts/discovery";
import { until } from "@piata/testkit/until";
import { Observable } from "rxjs";
import {
  type Code,
  Failure,
  failureIn,
  fromServiceError,
  fromStatus,
  internal,
  isFailure,
  notFound,
  toServiceError,
  toStatus,
} from "./errors.js";
import { Channel } from "./rpc-client.js";
import { gate, openTrialLog, serve, soon, type TrialHandlers } from "./trial.js";

const CODES: Code[] = [
  "INVALID_ARGUMENT",
  "UNAUTHENTICATED",
  "PERMISSION_DENIED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "FAILED_PRECONDITION",
  "ABORTED",
  "RESOURCE_EXHAUSTED",
  "DEADLINE_EXCEEDED",
  "UNAVAILABLE",
  "INTERNAL",
];

const secret = "4111-1111-1111-1111";

describe("an error that crosses gRPC", () => {
  const { log, lines, text } = openTrialLog();
  const handlers: TrialHandlers = {};
  let trial: Awaited<ReturnType<typeof serve>>;
  before(async () => {
    trial = await serve(handlers, { log });
  });
  after(() => trial.close());

  const ask = () => trial.discovery.withdraw({ instanceId: "any" }, soon());

  for (const code of CODES) {
    it(`comes out as itself: ${code}`, async () => {
      const metadata = { field: "name", given: "ție îți spun: 50 %" };
      const message = `Ceva nu e bine — 100 % (${code})`;
      handlers.withdraw = async () => {
        throw new Failure(code, "A_REASON", message, metadata);
      };
      await assert.rejects(ask(), (error) => {
        assert.ok(isFailure(error, "A_REASON"));
        assert.deepEqual([error.code, error.message], [code, message]);
        assert.deepEqual(error.metadata, metadata);
        return true;
      });
    });
  }

  it("is a coded one too when it was thrown before the first await", async () => {
    handlers.withdraw = () => {
      throw notFound("GONE", "It is gone.");
    };
    // nestjs/nest#5615: Nest would make an UNKNOWN of it, with the text of the error.
    await assert.rejects(ask(), { code: "NOT_FOUND", reason: "GONE", message: "It is gone." });
  });

  it("ends a stream after the messages that went before", async () => {
    const listing = { instances: [], settled: true, withdrawnIds: ["one"] };
    handlers.watch = () =>
      new Observable((watcher) => {
        watcher.next(listing);
        setImmediate(() => watcher.error(notFound("GONE", "It is gone.")));
      });
    const seen: unknown[] = [];
    await assert.rejects(
      async () => {
        for await (const message of trial.discovery.watch({})) seen.push(message);
      },
      { code: "NOT_FOUND", reason: "GONE" },
    );
    assert.deepEqual(seen, [listing]);
  });

  for (const thrown of [
    new Error(`card ${secret}`),
    Object.assign(new Error("duplicate key"), { detail: secret, code: "23505" }),
    secret,
    undefined,
  ]) {
    it(`is INTERNAL when it is a bug, and tells nothing: ${typeof thrown}`, async () => {
      const before = lines().length;
      handlers.withdraw = async () => {
        throw thrown;
      };
      await assert.rejects(ask(), (error) => {
        assert.ok(isFailure(error, "INTERNAL"));
        assert.equal(error.code, "INTERNAL");
        assert.deepEqual(error.metadata, {});
        assert.doesNotMatch(error.message, /card|duplicate|4111/);
        assert.equal(error.cause, undefined);
        return true;
      });
      const bugs = lines()
        .slice(before)
        .filter(({ level }) => level === "error");
      assert.equal(bugs.length, 1);
      const [bug] = bugs;
      assert.equal(bug?.rpc, "piata.discovery.v1.DiscoveryService/Withdraw");
      const { stack = "" } = (bug?.err ?? {}) as { stack?: string };
      if (thrown instanceof Error) assert.match(stack, /at .*errors\.test\.[jt]s/);
    });
  }

  it("keeps what PostgreSQL says of a row's values out of the log", () => {
    const details = lines().filter(({ err }) => JSON.stringify(err)?.includes('"detail"'));
    assert.deepEqual(details, []);
    assert.ok(text().includes("23505"));
  });

  it("is UNAVAILABLE when nobody listens", async () => {
    const away = await serve({});
    await away.close();
    const channel = new Channel({ service: "order", target: away.address, caller: "test" });
    await assert.rejects(
      channel.client(DiscoveryServiceService).withdraw({ instanceId: "any" }, soon()),
      { code: "UNAVAILABLE", reason: "SERVICE_UNREACHABLE", metadata: { service: "order" } },
    );
    channel.close();
  });

  it("is DEADLINE when the far side is slow, and that call is logged as such", async () => {
    const open = gate<Record<string, never>>();
    handlers.withdraw = () => open.promise;
    handlers.heartbeat = async () => ({ leaseMs: 1 });
    const before = lines().length;
    const slow = trial.discovery.withdraw({ instanceId: "any" }, soon(50));
    await assert.rejects(slow, {
      code: "DEADLINE_EXCEEDED",
      reason: "DEADLINE",
      metadata: { service: "trial" },
    });
    await until(() => lines().length > before);
    open.resolve({});
    await trial.discovery.heartbeat({ instance: undefined }, soon());
    const calls = lines().slice(before);
    assert.deepEqual(
      calls.map(({ rpc, code }) => `${rpc}`.replace(/.*[/]/, `${code} `)),
      ["DEADLINE_EXCEEDED Withdraw", "OK Heartbeat"],
      "one line, even when the answer comes late",
    );
  });

  it("is MESSAGE_TOO_LARGE when a request is above 16 MiB", async () => {
    const instanceId = "x".repeat(17 * 1024 * 1024);
    await assert.rejects(trial.discovery.withdraw({ instanceId }, soon()), {
      code: "RESOURCE_EXHAUSTED",
      reason: "MESSAGE_TOO_LARGE",
    });
  });
});

describe("a Failure", () => {
  it("is found by its reason", () => {
    const failure = notFound("PRODUCT_NOT_FOUND", "There is no product 7.");
    assert.ok(isFailure(failure));
    assert.ok(isFailure(failure, "PRODUCT_NOT_FOUND"));
    assert.ok(!isFailure(failure, "CART_EMPTY"));
    assert.ok(!isFailure(new Error("PRODUCT_NOT_FOUND")));
    assert.ok(!isFailure(undefined));
  });

  it("goes through an item's status and back", () => {
    for (const code of CODES) {
      const failure = new Failure(code, "A_REASON", "Words.", { a: "1", b: "" });
      assert.deepEqual(fromStatus(toStatus(failure)), failure);
    }
  });

  it("is INTERNAL when its code is not of the list, and takes the code for a missing reason", () => {
    assert.equal(fromStatus({ code: 99, message: "?", details: [] }).code, "INTERNAL");
    const plain = fromStatus({ code: status.NOT_FOUND, message: "?", details: [] });
    assert.deepEqual([plain.code, plain.reason], ["NOT_FOUND", "NOT_FOUND"]);
  });

  it("is in the metadata of the error that a call ends with", () => {
    const failure = notFound("GONE", "It is gone.", { id: "7" });
    assert.deepEqual(failureIn(toServiceError(failure).metadata), failure);
    assert.equal(failureIn(new Metadata()), undefined);
    assert.equal(failureIn(undefined), undefined);
  });

  it("is INTERNAL, with the cause kept inside, when the far side's words make no sense", () => {
    const metadata = new Metadata();
    metadata.set("grpc-status-details-bin", Buffer.from([0xff, 0xff, 0xff]));
    const error = serviceError(status.NOT_FOUND, metadata);
    const failure = fromServiceError(error, "order");
    assert.equal(failure.code, "INTERNAL");
    assert.ok(failure.cause instanceof Error);
  });

  it("of gRPC's own making is INTERNAL with that error as its cause", () => {
    const error = serviceError(status.UNIMPLEMENTED, new Metadata());
    const failure = fromServiceError(error, "order");
    assert.deepEqual([failure.code, failure.message], ["INTERNAL", internal().message]);
    assert.equal(failure.cause, error);
  });
});

const serviceError = (code: status, metadata: Metadata): ServiceError =>
  Object.assign(new Error("no"), { code, details: "no", metadata });
