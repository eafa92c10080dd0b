import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { RunningService } from "@piata/testkit/service";
import { until } from "@piata/testkit/until";
import { exchange, post } from "./exchange.fixture.js";
import { startGateway } from "./fixture.js";

const LIMITS = { GATEWAY_RATE_LIMIT_EXEMPT: "none", GATEWAY_ADDRESS_REQUESTS_PER_MINUTE: "3" };

/** Asks in these clients' names, one after the other. */
async function statuses(address: string, forwarded: readonly string[]): Promise<number[]> {
  const got: number[] = [];
  for (const client of forwarded) {
    got.push(
      (await exchange(address, post("{ hello }", {}, { "x-forwarded-for": client }))).status,
    );
  }
  return got;
}

describe("who a proxy says that it asks for", () => {
  let direct: RunningService;
  let proxied: RunningService;

  before(async () => {
    [direct, proxied] = await Promise.all([
      startGateway(LIMITS),
      startGateway({ ...LIMITS, GATEWAY_TRUSTED_PROXIES: "127.0.0.1,10.0.0.0/8" }),
    ]);
  });
  after(() => Promise.all([direct?.stop(), proxied?.stop()]));

  it("is not believed of anybody else, and an operator is told once", async () => {
    const { address, output } = direct;
    const forged = ["203.0.113.1", "203.0.113.2", "127.0.0.1", "203.0.113.4", "203.0.113.5"];
    assert.deepEqual(await statuses(address, forged), [200, 200, 200, 429, 429]);
    await until(() => output().includes("GATEWAY_TRUSTED_PROXIES"));
    assert.equal(output().match(/GATEWAY_TRUSTED_PROXIES/g)?.length, 1);
  });

  it("is counted for each client, whatever the client has written before it", async () => {
    const { address, output } = proxied;
    const forged = ["1.1.1.1, 203.0.113.7", "127.0.0.1,203.0.113.7", "x, 203.0.113.7"];
    assert.deepEqual(await statuses(address, forged), [200, 200, 200]);
    const same = ["203.0.113.7", "2.2.2.2, 203.0.113.7, 10.1.2.3", "::ffff:203.0.113.7"];
    assert.deepEqual(await statuses(address, same), [429, 429, 429]);
    assert.deepEqual(await statuses(address, ["203.0.113.8", "203.0.113.7:80"]), [200, 429]);
    const network = ["2001:db8:1:2::1", "2001:db8:1:2:3::1", "2001:DB8:1:2:ffff:ffff:ffff:ffff"];
    assert.deepEqual(await statuses(address, network), [200, 200, 200]);
    const neighbours = ["2001:db8:1:2::9", "2001:db8:1:3::1"];
    assert.deepEqual(await statuses(address, neighbours), [429, 200]);
    assert.doesNotMatch(output(), /GATEWAY_TRUSTED_PROXIES/);
  });
});
