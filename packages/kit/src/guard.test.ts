import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { Controller } from "@nestjs/common";
import { type BatchVoidRequest, PaymentServiceService } from "@piata/contracts/payment";
import { as, keyFiles, nobody } from "@piata/testkit/identity";
import type { Observable } from "rxjs";
import { failureIn } from "./errors.js";
import { Metrics } from "./metrics.js";
import { Passports } from "./passport.js";
import { forUsers, onlyFrom, Rpc } from "./permission.js";
import { openPublicKeys } from "./public-keys.js";
import { Channel } from "./rpc-client.js";
import { type RpcServerOptions, startRpcServer } from "./rpc-server.js";
import { chargeItem, openTrialLog, soon } from "./trial.js";

interface Seen {
  userId: number | undefined;
  role: number | undefined;
  sessionId: string | undefined;
}

/** A service of which one RPC is for users and the others are the order service's. */
async function serve(other: Partial<RpcServerOptions> = {}) {
  const seen: Seen[] = [];
  const ids: string[] = [];
  const { log, lines } = openTrialLog();

  @Controller()
  class Handlers {
    @Rpc("PaymentService", onlyFrom("order"))
    async batchCharge({ items }: { items: unknown[] }) {
      return { results: items.map(() => ({})) };
    }
    @Rpc("PaymentService", forUsers)
    async batchVoid({ items }: BatchVoidRequest) {
      for (const { context } of items) {
        const { userId, role, sessionId } = context ?? {};
        seen.push({ userId, role, sessionId });
        if (context) ids.push(`${context.traceId}/${context.spanId}`);
      }
      return { results: items.map(() => ({})) };
    }
    @Rpc("PaymentService", onlyFrom("order"))
    async batchRefund({ items }: BatchVoidRequest) {
      for (const { context } of items) {
        const { userId, role, sessionId } = context ?? {};
        seen.push({ userId, role, sessionId });
      }
      return { results: [] };
    }
    @Rpc("PaymentService", onlyFrom("operator"))
    async reconcile() {
      return {};
    }
  }

  const server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    log,
    metrics: new Metrics("trial"),
    services: { "piata.payment.v1.PaymentService": PaymentServiceService },
    controllers: [Handlers],
    providers: [],
    passports: new Passports(await openPublicKeys(keyFiles().publicKeys), log),
    ...other,
  });
  const target = `127.0.0.1:${server.port}`;
  const channels: Channel[] = [];
  return {
    seen,
    ids,
    lines,
    target,
    from(caller: string) {
      const channel = new Channel({ service: "payment", target, caller });
      channels.push(channel);
      return channel.client(PaymentServiceService);
    },
    async close() {
      for (const channel of channels) channel.close();
      await server.close(1_000);
    },
  };
}

describe("the guard", () => {
  it("lets in who may call, and refuses everyone else before the handler", async (t) => {
    const trial = await serve();
    t.after(() => trial.close());
    await trial.from("order").batchCharge({ items: [chargeItem(1)] }, soon());
    for (const caller of ["gateway", "payment", "", "order "]) {
      await assert.rejects(
        trial.from(caller).batchCharge({ items: [chargeItem(1)] }, soon()),
        { code: "PERMISSION_DENIED", reason: "CALLER_NOT_ALLOWED" },
        caller,
      );
    }
    const refused = trial.lines().filter(({ reason }) => reason === "CALLER_NOT_ALLOWED");
    assert.deepEqual(new Set(refused.map(({ msg }) => msg)), new Set(["call"]));
  });

  it("takes a user from the passport, and never from what an item says", async (t) => {
    const trial = await serve();
    t.after(() => trial.close());
    const { context } = as(7);
    const lie = { ...nobody, userId: 7, role: 2, sessionId: "another's" };
    await trial.from("gateway").batchVoid(
      {
        items: [
          { context, orderId: 1 },
          { context: { ...context, userId: 8, role: 2 }, orderId: 2 },
          { context: lie, orderId: 3 },
          { context: undefined, orderId: 4 },
        ],
      },
      soon(),
    );
    const seven = { userId: 7, role: 1, sessionId: "" };
    assert.deepEqual(trial.seen, [
      seven,
      seven,
      { userId: 0, role: 0, sessionId: "" },
      // The client fills in the context of a request, not of an item.
      { userId: undefined, role: undefined, sessionId: undefined },
    ]);
  });

  it("believes a service whom it acts for, and no role of theirs", async (t) => {
    const trial = await serve();
    t.after(() => trial.close());
    const context = { ...nobody, userId: 7, role: 2, sessionId: "another's" };
    const items = [{ context, orderId: 1, refundKey: "", amount: undefined }];
    await trial.from("order").batchRefund({ items }, soon());
    assert.deepEqual(trial.seen, [{ userId: 7, role: 0, sessionId: "" }]);
  });

  it("gives an item a trace of its own when what it names is none", async (t) => {
    const trial = await serve();
    t.after(() => trial.close());
    const good = { traceId: "0123456789abcdef0123456789abcdef", spanId: "0123456789abcdef" };
    const bad = ["", "a\0b", "x".repeat(32), "A".repeat(32), "a".repeat(1_000), "a".repeat(33)];
    const items = [good, ...bad.map((text) => ({ traceId: text, spanId: `${text}-` }))];
    await trial
      .from("gateway")
      .batchVoid(
        { items: items.map((named) => ({ context: { ...nobody, ...named }, orderId: 1 })) },
        soon(),
      );
    const [kept, ...made] = trial.ids;
    assert.equal(kept, `${good.traceId}/${good.spanId}`);
    for (const id of made) assert.match(id, /^[0-9a-f]{32}\/$/);
    assert.equal(new Set(made).size, bad.length);
  });

  it("answers bytes that are no message with a code, and quotes nothing of them", async (t) => {
    const trial = await serve();
    t.after(() => trial.close());
    const client = new Client(trial.target, credentials.createInsecure());
    t.after(() => client.close());
    const metadata = new Metadata();
    metadata.set("x-caller", "order");
    const raw = (bytes: Buffer) =>
      new Promise<ServiceError | null>((resolve) => {
        client.makeUnaryRequest(
          PaymentServiceService.batchCharge.path,
          (value: Buffer) => value,
          (value: Buffer) => value,
          bytes,
          metadata,
          { deadline: Date.now() + 5_000 },
          (error) => resolve(error),
        );
      });
    for (const bytes of [Buffer.from("ffffff", "hex"), Buffer.from("0aff01", "hex")]) {
      const failure = failureIn((await raw(bytes))?.metadata);
      assert.deepEqual(
        [failure?.code, failure?.reason],
        ["INVALID_ARGUMENT", "MESSAGE_INVALID"],
        bytes.toString("hex"),
      );
    }
  });

  it("is there before a program serves: nothing starts with an RPC that has no permission", async () => {
    @Controller()
    class Forgetful {
      @Rpc("PaymentService", onlyFrom("order"))
      batchCharge(): Observable<never> {
        throw new Error("nobody calls it");
      }
    }
    await assert.rejects(serve({ controllers: [Forgetful] }), /BatchVoid has no @Rpc handler/);
    await assert.rejects(serve({ passports: undefined }), /BatchVoid is for users/);
  });
});
