// That the figures of docs/scaling.md can be measured again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { didNotRun } from "@piata/testkit/did-not-run";
import { measure, report } from "./cost.ts";

test("what an order costs is told for every program and database", async () => {
  if (process.platform !== "linux") {
    didNotRun("what an order costs", "there is no /proc");
    return;
  }
  const cost = await measure(process.env.PIATA_TEST_LONG === "1" ? 4_000 : 100);
  console.log(report(cost));
  assert.ok(cost.requests >= 4, "four requests at least");
  for (const part of ["gateway", "catalog", "cart", "order", "payment", "postgres order"]) {
    assert.ok((cost.cpuMs.get(part) ?? 0) > 0, `${part} costs nothing`);
  }
});
