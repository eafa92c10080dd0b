import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { Client, credentials, type MethodDefinition } from "@grpc/grpc-js";
import { Controller } from "@nestjs/common";
import { service as health } from "grpc-health-check";
import { fromEveryone, Rpc } from "./permission.js";
import { charged, DiscoveryTrial, PaymentTrial, serve, soon } from "./trial.js";

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

describe("the end of a server", () => {
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
});
