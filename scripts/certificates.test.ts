import assert from "node:assert/strict";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { TLSSocket } from "node:tls";
import { PaymentServiceService } from "@piata/contracts/payment";
import { ConfigError } from "@piata/kit/config";
import { Channel } from "@piata/kit/rpc-client";
import { openTls, type Tls } from "@piata/kit/tls";
import { openTrialLog, serve, soon } from "@piata/kit/trial";
import { issue, newAuthority } from "@piata/setup/certificates";
import { writeCertificate, writeCertificates } from "./certificates.ts";

describe("the certificates", () => {
  let folder: string;
  const tlsOf = (name: string, shop = "ours") => openTls("TLS", join(folder, shop, name));

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "piata-certificates-"));
    await Promise.all(["ours", "theirs"].map((shop) => writeCertificates(join(folder, shop))));
  });
  after(() => rm(folder, { recursive: true }));

  /** What a payment service says to a caller. */
  async function call({ server, ...how }: { server?: Tls; caller?: string; tls?: Tls }) {
    const { log, lines } = openTrialLog();
    const trial = await serve({ batchVoid: async () => ({ results: [] }) }, { log, tls: server });
    const channel = new Channel({
      service: "payment",
      target: trial.address,
      caller: how.caller ?? "test",
      tls: how.tls,
    });
    try {
      await channel.client(PaymentServiceService).batchVoid({ items: [] }, soon(2_000));
      return lines().find(({ msg }) => msg === "call")?.caller;
    } catch (error) {
      return (error as { reason: string }).reason;
    } finally {
      channel.close();
      await trial.close();
    }
  }

  it("tell a server who calls, whatever the caller says of itself", async () => {
    const server = await tlsOf("payment");
    assert.equal(await call({ server, tls: await tlsOf("order"), caller: "operator" }), "order");
  });

  it("are read once per connection, and each connection has its own", async (t) => {
    const read = t.mock.method(TLSSocket.prototype, "getPeerCertificate");
    const { log, lines } = openTrialLog();
    const handlers = { batchVoid: async () => ({ results: [] }) };
    const trial = await serve(handlers, { log, tls: await tlsOf("payment") });
    t.after(() => trial.close());
    for (const caller of ["order", "gateway"]) {
      const tls = await tlsOf(caller);
      const channel = new Channel({ service: "payment", target: trial.address, caller, tls });
      t.after(() => channel.close());
      const before = read.mock.callCount();
      for (let calls = 0; calls < 5; calls += 1) {
        await channel.client(PaymentServiceService).batchVoid({ items: [] }, soon());
      }
      // One end reads the other's for the handshake, and the guard reads the caller's.
      assert.ok(read.mock.callCount() - before < 5, `${read.mock.callCount() - before} readings`);
    }
    const callers = lines().flatMap(({ msg, caller }) => (msg === "call" ? [caller] : []));
    assert.deepEqual(callers, [...Array(5).fill("order"), ...Array(5).fill("gateway")]);
  });

  it("of another shop open nothing", async () => {
    const server = await tlsOf("payment");
    const tls = await tlsOf("order", "theirs");
    assert.equal(await call({ server, tls }), "SERVICE_UNREACHABLE");
    const { cert, key } = tls;
    const { ca } = await tlsOf("order");
    assert.equal(await call({ server, tls: { ca, cert, key } }), "SERVICE_UNREACHABLE");
  });

  it("are needed: who speaks plain text is not heard, by a server or of one", async () => {
    assert.equal(await call({ server: await tlsOf("payment") }), "SERVICE_UNREACHABLE");
    assert.equal(await call({ tls: await tlsOf("order") }), "SERVICE_UNREACHABLE");
  });

  it("tell a caller that it has reached the service that it means", async () => {
    const server = await tlsOf("catalog");
    assert.equal(await call({ server, tls: await tlsOf("order") }), "SERVICE_UNREACHABLE");
  });

  it("that are over, or not good yet, open nothing and are not believed", async () => {
    const authority = await newAuthority();
    const HOUR_MS = 3_600_000;
    const hoursFromNow = (hours: number) => new Date(Date.now() + hours * HOUR_MS);
    for (const [when, from, until] of [
      ["good", -1, 1],
      ["over", -2, -1],
      ["not yet", 1, 2],
    ] as const) {
      const period = { notBefore: hoursFromNow(from), notAfter: hoursFromNow(until) };
      for (const name of ["order", "payment"]) {
        await writeCertificate(join(folder, when, name), await issue(authority, name, period));
      }
    }
    const good = { server: await tlsOf("payment", "good"), tls: await tlsOf("order", "good") };
    assert.equal(await call(good), "order");
    for (const when of ["over", "not yet"]) {
      const [server, tls] = [await tlsOf("payment", when), await tlsOf("order", when)];
      assert.equal(await call({ ...good, tls }), "SERVICE_UNREACHABLE", `a caller's: ${when}`);
      assert.equal(await call({ ...good, server }), "SERVICE_UNREACHABLE", `a server's: ${when}`);
    }
  });

  it("have keys that only their owner can read", async () => {
    const { mode } = await stat(join(folder, "ours", "order", "tls.key"));
    assert.equal(mode & 0o077, 0);
  });

  it("that cannot be used are a fault of the configuration, which says which", async () => {
    await assert.rejects(tlsOf("nobody"), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, /^TLS: ca\.crt cannot be read \(ENOENT\)/);
      return true;
    });
    await writeFile(join(folder, "theirs", "cart", "tls.key"), "no key");
    await assert.rejects(tlsOf("cart", "theirs"), /^ConfigError|^Error: TLS: the certificates/);
  });
});
