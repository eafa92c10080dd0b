import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { describe, it } from "node:test";
import { type History, Simulator } from "./simulation.fixture.js";
import { SAGA_MUTANTS } from "./simulation-saga-mutants.fixture.js";
import { hashOf } from "./simulation-scheduler.fixture.js";
import { SERVICE_MUTANTS } from "./simulation-service-mutants.fixture.js";

// SIMULATION_SEED=… replays one history, SIMULATION_MS=… has many more of them.
const { SIMULATION_SEED, SIMULATION_MS = "8000" } = process.env;
const SEED_MAX = 1_000_000_000;
const MUTANT_HISTORIES_MAX = 20_000;
const LINES_TOLD = 100;

/** What somebody has to read who is to find out why. */
const told = ({ seed, wrong, trace }: History): string =>
  `${wrong}\n${trace().slice(-LINES_TOLD).join("\n")}\nOnce more: SIMULATION_SEED=${seed}`;

describe("the order service in a simulation", () => {
  it("keeps its promises in every history", async (test) => {
    const simulator = new Simulator();
    const firstSeed = SIMULATION_SEED ? Number(SIMULATION_SEED) : randomInt(SEED_MAX);
    const ends = new Map<string, number>();
    const beganMs = performance.now();
    const endsMs = beganMs + (SIMULATION_SEED ? 0 : Number(SIMULATION_MS));
    let histories = 0;
    let events = 0;
    do {
      const history = await simulator.run(firstSeed + histories);
      assert.equal(history.wrong, undefined, told(history));
      histories += 1;
      events += history.events;
      for (const end of history.ends) ends.set(end, (ends.get(end) ?? 0) + 1);
    } while (performance.now() < endsMs);
    const seconds = (performance.now() - beganMs) / 1_000;
    const perSecond = Math.round(histories / seconds);
    const many = `${histories} histories of ${events} events`;
    test.diagnostic(`${many} from seed ${firstSeed} on, ${perSecond} histories per second`);
    for (const [end, orders] of [...ends].sort()) test.diagnostic(`${end}: ${orders} orders`);
  });

  it("has one history for one seed", async () => {
    for (let seed = 1; seed <= 50; seed += 1) {
      const one = await new Simulator().run(seed);
      const other = await new Simulator().run(seed);
      assert.equal(hashOf(one.trace()), hashOf(other.trace()), `seed ${seed}`);
    }
  });

  it("has another history for another seed", async () => {
    const simulator = new Simulator();
    const hashes = new Set<string>();
    for (let seed = 1; seed <= 50; seed += 1)
      hashes.add(hashOf((await simulator.run(seed)).trace()));
    assert.equal(hashes.size, 50);
  });
});

describe("the simulation catches it when", () => {
  for (const [broken, parts] of Object.entries({ ...SERVICE_MUTANTS, ...SAGA_MUTANTS })) {
    it(broken, async (test) => {
      const simulator = new Simulator(parts);
      for (let seed = 1; seed <= MUTANT_HISTORIES_MAX; seed += 1) {
        const { wrong } = await simulator.run(seed);
        if (!wrong) continue;
        const whole = await new Simulator().run(seed);
        assert.equal(whole.wrong, undefined, `wrong without it, too: ${told(whole)}`);
        test.diagnostic(`caught by history ${seed}: ${wrong.split("\n")[0]}`);
        return;
      }
      assert.fail(`${MUTANT_HISTORIES_MAX} histories, and nothing was found to be wrong.`);
    });
  }
});
