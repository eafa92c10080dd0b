import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { type RunningService, startService } from "@piata/testkit/service";
import { isAlive } from "@piata/testkit/shop";
import { until } from "@piata/testkit/until";

const SERVICES = new URL("../../../services/", import.meta.url);

/** A program as the launcher starts it, whose end the test watches. */
function start(t: TestContext, name: string, env: Record<string, string>) {
  const main = fileURLToPath(new URL(`${name}/dist/main.js`, SERVICES));
  const child = fork(main, { env: { PATH: process.env.PATH, ...env }, silent: true });
  t.after(() => child.kill("SIGKILL"));
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (text: string) => {
      said[name] += text;
    });
  }
  return { child, said, ended: endOf(child) };
}

async function endOf(child: ChildProcess): Promise<number | NodeJS.Signals | null> {
  const [code, signal] = await once(child, "exit");
  return code ?? signal;
}

async function ready(child: ChildProcess): Promise<{ address: string; httpAddress: string }> {
  for (;;) {
    const [message] = await once(child, "message");
    if (message.type === "ready") return message;
  }
}

async function get({ httpAddress }: { httpAddress: string }, path: string) {
  const response = await fetch(`http://${httpAddress}${path}`);
  const text = await response.text();
  return { status: response.status, type: response.headers.get("content-type"), text };
}

describe("a program", () => {
  it("answers /healthz and /metrics, and ends with 0 at SIGTERM", async (t) => {
    const discovery: RunningService = await startService("discovery", {});
    t.after(() => discovery.kill());
    assert.deepEqual(await get(discovery, "/healthz"), {
      status: 200,
      type: "application/json",
      text: '{"status":"SERVING"}',
    });
    const metrics = await get(discovery, "/metrics");
    assert.equal(metrics.status, 200);
    assert.match(metrics.type ?? "", /^text\/plain/);
    assert.match(metrics.text, /^process_cpu_seconds_total\{program="discovery"\}/m);
    assert.match(metrics.text, /^# TYPE piata_answered_total counter$/m);
    assert.equal((await get(discovery, "/other")).status, 404);
    assert.equal(await discovery.stop(), 0);
    const lines = discovery.output().trim().split("\n");
    for (const line of lines) assert.equal(JSON.parse(line).program, "discovery");
    assert.equal(JSON.parse(lines.at(-1) ?? "").why, "SIGTERM");
  });

  it("says NOT_SERVING while it drains, and stops once however often it is told", async (t) => {
    const { child, ended, said } = start(t, "discovery", {});
    const addresses = await ready(child);
    child.kill("SIGINT");
    child.kill("SIGTERM");
    await until(async () => (await get(addresses, "/healthz")).status === 503);
    assert.equal(await ended, 0);
    await until(() => said.stdout.includes("stopping"));
    assert.equal(said.stdout.match(/"stopping"/g)?.length, 1);
  });

  it("ends when the launcher that started it is gone", async (t) => {
    const { child, ended, said } = start(t, "discovery", {});
    await ready(child);
    child.disconnect();
    assert.equal(await ended, 0);
    await until(() => said.stdout.includes("the launcher is gone"));
  });

  it("does not live on when the launcher goes while it starts", async (t) => {
    const { child, ended } = start(t, "discovery", {});
    child.disconnect();
    await ended;
    assert.ok(!isAlive(child.pid as number));
  });

  it("ends with 78 and every fault on stderr when it is misconfigured", async (t) => {
    const { ended, said } = start(t, "catalog", { LOG_LEVEL: "hunter2", CATALOG_PORT: "-1" });
    assert.equal(await ended, 78);
    assert.equal(said.stdout, "");
    const faults = said.stderr.trim().split("\n");
    assert.equal(faults[0], "catalog: Bad configuration:");
    const named = [
      "CATALOG_PORT",
      "LOG_LEVEL",
      "CATALOG_DATABASE_URL is missing",
      "PIATA_PUBLIC_KEYS_FILE is missing",
    ];
    assert.equal(faults.length, 1 + named.length);
    for (const name of named) {
      assert.ok(said.stderr.includes(name), name);
    }
    assert.doesNotMatch(said.stderr, /hunter2/);
  });

  it("ends with 1 and the reason when its port is taken, of either server", async (t) => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    t.after(() => taken.close());
    const port = String((taken.address() as AddressInfo).port);
    for (const name of ["DISCOVERY_PORT", "DISCOVERY_HTTP_PORT"]) {
      const { ended, said } = start(t, "discovery", { [name]: port });
      assert.equal(await ended, 1);
      assert.match(said.stderr, new RegExp(`EADDRINUSE|${port}`));
    }
  });
});
