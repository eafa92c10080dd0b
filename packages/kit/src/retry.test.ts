import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RetryBudget } from "./retry.js";

describe("the retry budget", () => {
  it("lasts for a burst of twenty, and then for one call in ten", () => {
    const budget = new RetryBudget();
    let retries = 0;
    for (let calls = 0; calls < 1_000; calls += 1) {
      budget.called();
      if (!budget.mayRetry) continue;
      budget.retried();
      retries += 1;
    }
    assert.ok(retries >= 115 && retries <= 120, `${retries} of 1000 were repeated`);
  });

  it("fills up again, and no further than the burst", () => {
    const budget = new RetryBudget();
    for (let calls = 0; calls < 10_000; calls += 1) budget.called();
    let burst = 0;
    for (; budget.mayRetry; burst += 1) budget.retried();
    assert.equal(burst, 20);
  });
});
