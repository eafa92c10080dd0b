// That the figures of docs/scaling.md follow from those that it starts with.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { DATABASES, inputsIn, needFor, PROGRAMS } from "./scaling.ts";

const page = await readFile(new URL("../docs/scaling.md", import.meta.url), "utf8");

/** The cells of the line that begins with that word. */
function line(name: string): string[] {
  const found = page.split("\n").find((one) => one.startsWith(`| **${name}** |`));
  assert.ok(found, `docs/scaling.md has no line ${name}`);
  return found
    .split("|")
    .slice(2, -1)
    .map((cell) => cell.trim());
}

const RATES = [1_000, 10_000, 100_000];

test("what 1,000, 10,000 and 100,000 orders a second need is calculated rightly", () => {
  const inputs = inputsIn(page);
  const text = (value: number) => value.toLocaleString("en");
  const needs = RATES.map((rate) => needFor(rate, inputs));
  assert.deepEqual(line("orders/s"), RATES.map(text));
  for (const name of PROGRAMS) {
    const wanted = needs.map(({ instances }) => text(instances.get(name) ?? 0));
    assert.deepEqual(line(name), wanted);
  }
  for (const name of DATABASES) {
    const wanted = needs.map(({ servers }) => text(servers.get(name) ?? 0));
    assert.deepEqual(line(`${name}: database servers`), wanted);
  }
  assert.deepEqual(
    line("CPUs, together"),
    needs.map(({ cpus }) => text(cpus)),
  );
  assert.deepEqual(
    line("terabytes a day"),
    needs.map(({ terabytesPerDay }) => terabytesPerDay.toFixed(2)),
  );
});

test("the total of what an order costs is the sum of its parts", () => {
  const inputs = inputsIn(page);
  const parts = [...PROGRAMS, ...DATABASES.map((name) => `postgres ${name}`)];
  const sum = parts.reduce((total, part) => total + (inputs.get(part) ?? Number.NaN), 0);
  const [total = ""] = line("together");
  assert.equal(total, `${sum.toFixed(2)} ms`);
});
