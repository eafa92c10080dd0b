import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Load } from "@piata/contracts/discovery";
import { openLog } from "@piata/kit/log";
import { Journal } from "./journal.js";
import { overviewOf } from "./overview.js";
import { duration, escapeHtml, html, json } from "./page.js";
import { Registry } from "./registry.js";
import { trialInstance } from "./trial-instance.js";

const LOAD: Load = {
  callsInProgress: 3,
  callsPerSecond: 41.5,
  eventLoopUtilization: 0.25,
  cpuCores: 0.5,
  memoryBytes: 90 * 2 ** 20,
};

function trial() {
  let nowMs = 0;
  const journal = new Journal(openLog("test", "silent"));
  const now = () => nowMs;
  const registry = new Registry({
    leaseMs: 2_500,
    now,
    note: (...event) => journal.note(...event),
  });
  return {
    registry,
    pass: (ms: number) => {
      nowMs += ms;
    },
    overview: () => overviewOf({ registry, journal, version: "1.2.3", startMs: 0, now }),
  };
}

/** The tags, which a text of somebody's must not add to. */
const tags = (page: string) => page.match(/<[a-z!/][^>]*>/g) ?? [];

describe("the overview as JSON", () => {
  it("has the shape that the README gives", () => {
    const { registry, pass, overview } = trial();
    const startedAt = new Date(Date.now() - 60_000);
    registry.heartbeat(trialInstance("a", "catalog", { startedAt }), LOAD);
    const dead = trialInstance("b", "catalog", { address: "127.0.0.1:5001" });
    registry.heartbeat(dead);
    pass(1_000);
    registry.probed(dead, { verdict: "DEAD", why: "connection refused" });
    pass(500);
    const { headers, body } = json(overview());
    assert.match(String(headers["content-type"]), /^application\/json/);
    const { discovery, services, events } = JSON.parse(body);
    assert.deepEqual(discovery, {
      version: "1.2.3",
      uptimeSeconds: 1.5,
      settled: false,
      leaseMs: 2_500,
      watchers: 0,
    });
    const uptimeSeconds = services[0].instances[0].uptimeSeconds;
    assert.ok(uptimeSeconds >= 60 && uptimeSeconds < 70);
    const common = { httpAddress: "127.0.0.1:6000", version: "1.0.0" };
    assert.deepEqual(services, [
      {
        service: "catalog",
        instances: [
          {
            id: "a",
            address: "127.0.0.1:5000",
            ...common,
            health: "UNPROBED",
            reason: "",
            healthSinceSeconds: 1.5,
            listed: true,
            startedAt: startedAt.toISOString(),
            uptimeSeconds,
            lastHeartbeatSecondsAgo: 1.5,
            load: LOAD,
          },
          {
            id: "b",
            address: "127.0.0.1:5001",
            ...common,
            health: "UNHEALTHY",
            reason: "connection refused",
            healthSinceSeconds: 0.5,
            listed: false,
            startedAt: null,
            uptimeSeconds: null,
            lastHeartbeatSecondsAgo: 1.5,
            load: null,
          },
        ],
      },
    ]);
    assert.deepEqual(Object.keys(events[0]), ["at", "service", "address", "what"]);
    assert.deepEqual(
      events.map(({ what }: { what: string }) => what),
      ["unhealthy: connection refused", "registered", "registered"],
    );
  });
});

describe("the page", () => {
  it("shows who is unhealthy, why and since when, before the others", () => {
    const { registry, pass, overview } = trial();
    registry.heartbeat(trialInstance("a"));
    const silent = trialInstance("b", "catalog", { address: "127.0.0.1:5001" });
    registry.heartbeat(silent, LOAD);
    pass(1_000);
    for (const why of ["no answer", "no answer"]) {
      registry.probed(silent, { verdict: "NO_ANSWER", why });
    }
    pass(4_000);
    const { body } = html(overview());
    assert.match(body, /unhealthy<\/b> <small>no answer to 2 probes for 4 s</);
    assert.match(body, /<h2>catalog <span class="fair">1 of 2 listed<\/span>/);
    assert.match(body, /<title>1 unhealthy/);
    assert.ok(body.indexOf("127.0.0.1:5001") < body.indexOf("127.0.0.1:5000"));
    for (const shown of [">42<", ">3<", "25 %", ">50 %<", "90 MiB", "5.0 s ago"]) {
      assert.ok(body.includes(shown), shown);
    }
  });

  it("says so when it is kept on the list although it is silent", () => {
    const { registry, overview } = trial();
    const lone = trialInstance("a");
    registry.heartbeat(lone);
    for (const why of ["no answer", "no answer"]) {
      registry.probed(lone, { verdict: "NO_ANSWER", why });
    }
    assert.match(html(overview()).body, /listed all the same/);
    assert.equal(overview().services[0]?.instances[0]?.listed, true);
  });

  it("is a page with nobody on it, and with ten thousand", () => {
    const { registry, overview } = trial();
    assert.match(html(overview()).body, /No instance has registered/);
    for (let at = 0; at < 10_000; at += 1) registry.heartbeat(trialInstance(`i-${at}`));
    const { body } = html(overview());
    assert.match(body, /9800 more are in/);
    assert.ok(body.length < 300_000, `${body.length} characters`);
    assert.equal(JSON.parse(json(overview()).body).services[0].instances.length, 10_000);
  });

  it("takes no markup from what registers", () => {
    const { registry, overview } = trial();
    registry.heartbeat(trialInstance("a", "catalog", { version: "1.0.0" }));
    const tame = tags(html(overview()).body);
    const evil = `"><script>alert(1)</script><img src=x onerror='alert(2)'>&`;
    registry.heartbeat(trialInstance("a", "catalog", { version: evil }));
    const { body } = html(overview());
    assert.ok(body.includes(escapeHtml(evil)));
    assert.ok(!body.includes("<script"));
    // One event more, and nothing else.
    assert.equal(
      tags(body).length - tame.length,
      tags("<li><time></time><b></b><code></code></li>").length,
    );
  });

  it("escapes every character that means something in HTML", () => {
    assert.equal(
      escapeHtml(`<a href="x" id='y'>&</a>`),
      "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;&lt;/a&gt;",
    );
  });

  it("may run no script and load nothing, and needs neither", () => {
    const { headers, body } = html(trial().overview());
    const policy = String(headers["content-security-policy"]);
    assert.match(policy, /^default-src 'none'/);
    assert.match(policy, /style-src 'sha256-[A-Za-z0-9+/=]{44}'$/);
    assert.doesNotMatch(policy, /unsafe|script-src|\*/);
    assert.doesNotMatch(body, /<script|<link|src=| style=|https?:/);
  });
});

describe("a length of time", () => {
  it("has its two largest units", () => {
    const said = [0, 0.9, 4, 60, 200, 3_600, 93_784, 8_640_000].map(duration);
    const want = ["0 s", "0 s", "4 s", "1 min", "3 min 20 s", "1 h", "1 d 2 h", "100 d"];
    assert.deepEqual(said, want);
  });
});
