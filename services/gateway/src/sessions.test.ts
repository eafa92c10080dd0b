import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Server, ServerCredentials, type ServerWritableStream } from "@grpc/grpc-js";
import {
  type AccessServiceServer,
  AccessServiceService,
  type BatchAuthenticateRequest,
  type BatchAuthenticateResponse_Result,
  type WatchRevocationsRequest,
  type WatchRevocationsResponse,
} from "@piata/contracts/access";
import { Role } from "@piata/contracts/item";
import { ownContext } from "@piata/kit/context";
import { isFailure, toStatus, unauthenticated } from "@piata/kit/errors";
import { openLog } from "@piata/kit/log";
import { Metrics } from "@piata/kit/metrics";
import { Channel } from "@piata/kit/rpc-client";
import { until } from "@piata/testkit/until";
import { Sessions } from "./sessions.js";

type Watcher = ServerWritableStream<WatchRevocationsRequest, WatchRevocationsResponse>;

/** An access service that says what a test wants, and keeps what it was asked. */
class Access {
  readonly asked: string[] = [];
  readonly watchers = new Set<Watcher>();
  /** What an answer waits for. */
  gate: Promise<void> = Promise.resolve();
  expiresAt = new Date(Date.now() + 600_000);
  /** What a new watcher is told first; nothing when undefined. */
  first: string[] | undefined = [];
  readonly #server = new Server();
  address = "";

  async start(): Promise<void> {
    this.#server.addService(AccessServiceService, {
      batchAuthenticate: async ({ request }, answer) => {
        const { items } = request as BatchAuthenticateRequest;
        this.asked.push(...items.map(({ accessToken }) => accessToken));
        await this.gate;
        answer(null, { results: items.map(({ accessToken }) => this.#identity(accessToken)) });
      },
      watchRevocations: (call) => {
        this.watchers.add(call);
        call.on("cancelled", () => this.watchers.delete(call));
        if (this.first) call.write({ sessionIds: this.first });
      },
    } satisfies Partial<AccessServiceServer> as never);
    this.address = await new Promise<string>((resolve, reject) => {
      this.#server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(`127.0.0.1:${port}`),
      );
    });
  }

  tell(...sessionIds: string[]): void {
    for (const watcher of this.watchers) watcher.write({ sessionIds });
  }

  timesAsked(token: string): number {
    return this.asked.filter((one) => one === token).length;
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  #identity(token: string): BatchAuthenticateResponse_Result {
    if (token === "forged") {
      return { identity: undefined, failure: toStatus(unauthenticated("TOKEN_INVALID", "No.")) };
    }
    const { expiresAt } = this;
    const identity = {
      userId: 7,
      role: Role.CUSTOMER,
      sessionId: `session of ${token}`,
      passport: `passport of ${token}`,
      expiresAt,
    };
    return { identity, failure: undefined };
  }
}

describe("sessions", () => {
  let access: Access;
  let channel: Channel;
  let sessions: Sessions;
  let nowMs: number;

  beforeEach(async () => {
    access = new Access();
    await access.start();
    nowMs = 1_000;
    channel = new Channel({ service: "access", target: access.address, caller: "test" });
    sessions = new Sessions({
      access: channel.client(AccessServiceService),
      metrics: new Metrics("test"),
      log: openLog("test", "fatal"),
      now: () => nowMs,
    });
    await trusted();
  });
  afterEach(async () => {
    await sessions.close();
    channel.close();
    access.stop();
  });

  const identify = (token: string) => sessions.identify(ownContext(5_000), token);
  const ended = (token: string) =>
    assert.rejects(identify(token), (error) => isFailure(error, "SESSION_ENDED"));

  let probes = 0;
  /** Waits until the stream is believed: then a token that is known is not asked for again. */
  async function trusted(): Promise<void> {
    const token = `probe ${++probes}`;
    await until(async () => {
      await identify(token);
      const before = access.timesAsked(token);
      await identify(token);
      return access.timesAsked(token) === before;
    });
  }
  /** Makes a second pass in silence, and waits for the watcher that comes instead. */
  async function silence(): Promise<void> {
    const [silent] = access.watchers;
    access.first = undefined;
    nowMs += 1_000;
    access.tell();
    await until(() => access.watchers.size === 1 && !access.watchers.has(silent as Watcher));
  }
  /** Ends a session and waits until that is known here. */
  async function endSession(...tokens: string[]): Promise<void> {
    const token = `probe ${++probes}`;
    await identify(token);
    access.tell(...[...tokens, token].map((one) => `session of ${one}`));
    await until(() =>
      identify(token).then(
        () => false,
        (error) => isFailure(error, "SESSION_ENDED"),
      ),
    );
  }

  it("asks once for a token, however often it comes", async () => {
    const first = await identify("a");
    assert.equal(first.userId, 7);
    for (let time = 0; time < 10; time++) assert.deepEqual(await identify("a"), first);
    assert.equal(access.timesAsked("a"), 1);
  });

  it("asks once for a token that many requests bring at the same time", async () => {
    await Promise.all(Array.from({ length: 50 }, () => identify("a")));
    assert.equal(access.timesAsked("a"), 1);
  });

  it("asks again while the stream has been silent for a second, and believes it after", async () => {
    await identify("a");
    nowMs += 999;
    await identify("a");
    assert.equal(access.timesAsked("a"), 1);
    nowMs -= 999;
    await silence();
    await identify("a");
    await identify("a");
    assert.equal(access.timesAsked("a"), 3);
    access.tell();
    await trusted();
    await identify("a");
    assert.equal(access.timesAsked("a"), 3);
  });

  it("does not believe a stream that speaks again after a silence: more may be on its way", async () => {
    await identify("a");
    await silence();
    await identify("a");
    assert.equal(access.timesAsked("a"), 2);
    access.tell("session of a");
    await trusted();
    await ended("a");
  });

  it("refuses a session that has ended at once, although its token is known", async () => {
    await identify("a");
    await endSession("a");
    await ended("a");
    assert.equal(access.timesAsked("a"), 1);
  });

  it("refuses a session that ends while its token is asked for", async () => {
    const gate = Promise.withResolvers<void>();
    await identify("probe");
    access.gate = gate.promise;
    const late = ended("a");
    await until(() => access.timesAsked("a") === 1);
    access.tell("session of a", "session of probe");
    await until(() =>
      identify("probe").then(
        () => false,
        () => true,
      ),
    );
    gate.resolve();
    await late;
    await ended("a");
  });

  it("goes on refusing what has ended when the stream falls silent", async () => {
    await identify("a");
    await endSession("a");
    nowMs += 5_000;
    await ended("a");
  });

  it("forgets what has ended only after every token of it is out of its time", async () => {
    await endSession("a");
    nowMs += 2 * 3_600_000 - 1;
    access.tell();
    await trusted();
    await ended("a");
    nowMs += 2;
    access.tell();
    await trusted();
    assert.equal((await identify("a")).userId, 7);
  });

  it("opens the stream again when it breaks, and asks until then", async () => {
    await identify("a");
    const [first] = access.watchers;
    access.watchers.clear();
    nowMs += 1_000;
    first?.end();
    await identify("a");
    assert.equal(access.timesAsked("a"), 2);
    await until(() => access.watchers.size === 1);
    await trusted();
    await identify("a");
    assert.ok(access.timesAsked("a") <= 3);
    await endSession("a");
    await ended("a");
  });

  it("does not keep a token that was refused, nor one whose time is over", async () => {
    const invalid = (error: unknown) => isFailure(error, "TOKEN_INVALID");
    await assert.rejects(identify("forged"), invalid);
    await assert.rejects(identify("forged"), invalid);
    assert.equal(access.timesAsked("forged"), 2);
    access.expiresAt = new Date(Date.now() - 1);
    await identify("old");
    await identify("old");
    assert.equal(access.timesAsked("old"), 2);
  });

  it("refuses a token of any length without asking for one that is too long", async () => {
    const token = "x".repeat(4_001);
    await assert.rejects(identify(token), (error) => isFailure(error, "TOKEN_INVALID"));
    assert.equal(access.timesAsked(token), 0);
  });

  it("fails closed when access is gone, also for a token that is known", async () => {
    await identify("a");
    access.stop();
    nowMs += 1_000;
    for (const token of ["a", "b"]) {
      await assert.rejects(
        identify(token),
        (error) => isFailure(error) && error.code === "UNAVAILABLE",
      );
    }
  });
});
