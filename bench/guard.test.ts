// That what was made fast stays so. It measures no time: only ratios and counts.
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { didNotRun } from "@piata/testkit/did-not-run";
import { type Costs, costs, LIMITS, tooMuch } from "./guard.ts";

const IS_LONG = process.env.PIATA_TEST_LONG === "1";
const names = Object.keys(LIMITS) as (keyof Costs)[];
const atLimit = Object.fromEntries(names.map((name) => [name, LIMITS[name].most])) as {
  -readonly [name in keyof Costs]: number;
};

const shown = (found: Costs): string =>
  names
    .map((name) => `  ${LIMITS[name].what}: ${found[name].toFixed(2)} of ${LIMITS[name].most}`)
    .join("\n");

describe("the regression guard", () => {
  it("lets what is at its limits pass, and names what is above them", () => {
    assert.deepEqual(tooMuch(atLimit), []);
    for (const name of names) {
      const [found, ...more] = tooMuch({ ...atLimit, [name]: atLimit[name] + 1 });
      assert.ok(found?.startsWith(LIMITS[name].what), String(found));
      assert.deepEqual(more, []);
    }
  });

  it("finds that a product and a purchase cost no more than they may", async () => {
    if (process.platform !== "linux") {
      didNotRun("what products and purchases cost", "there is no /proc");
      return;
    }
    const found = await costs();
    console.log(`What products and purchases cost\n${shown(found)}`);
    assert.deepEqual(tooMuch(found), []);
  });

  if (!IS_LONG || process.platform !== "linux") return;

  it("finds a shop out whose gateway spends more on each request", async () => {
    const slowUs = 500;
    const found = await costs({
      NODE_OPTIONS: `--import=${join(import.meta.dirname, "slow.ts")}`,
      BENCH_SLOW_US: String(slowUs),
    });
    console.log(`With ${slowUs} µs more for each request\n${shown(found)}`);
    const [said] = tooMuch(found);
    assert.ok(said?.startsWith(LIMITS.read.what), String(said));
  });
});
