import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Secret } from "./config.js";
import { internal } from "./errors.js";
import { openTrialLog } from "./trial.js";

interface Logged {
  type?: string;
  message?: string;
  stack?: string;
  code?: string;
  cause?: Logged;
}

describe("the log", () => {
  it("is one JSON object per line, with program, time and level by name", () => {
    const { log, text, lines } = openTrialLog("info");
    log.info({ items: 3 }, "two\nlines");
    log.debug("not at this level");
    assert.equal(text().split("\n").length, 2);
    const [line] = lines();
    const { program, pid, level, items, msg, time } = line ?? {};
    assert.deepEqual(
      { program, pid, level, items, msg },
      { program: "trial", pid: process.pid, level: "info", items: 3, msg: "two\nlines" },
    );
    assert.match(String(time), /^\d{4}-\d\d-\d\dT/);
  });

  it("has an error's stack and causes, and nothing else that it carries", () => {
    const { log, text, lines } = openTrialLog();
    const error = Object.assign(new TypeError("broken"), {
      code: "23505",
      detail: "Key (email)=(ana@example.com) already exists.",
      cause: new Error("root"),
    });
    log.error({ err: error }, "a bug");
    log.error({ err: internal(error) }, "a bug");
    const [direct, wrapped] = lines().map(({ err }) => err as Logged);
    assert.deepEqual(
      [direct?.type, direct?.message, direct?.code],
      ["TypeError", "broken", "23505"],
    );
    assert.match(direct?.stack ?? "", /log\.test/);
    assert.deepEqual(direct?.cause?.message, "root");
    assert.deepEqual(wrapped?.cause?.message, "broken");
    assert.doesNotMatch(text(), /ana@example\.com/);
  });

  it("takes whatever was thrown", () => {
    const { log, lines } = openTrialLog();
    for (const err of ["text", null, 7, {}]) log.error({ err }, "a bug");
    assert.equal(lines().length, 4);
  });

  it("shows no Secret", () => {
    const { log, text } = openTrialLog();
    log.info({ url: new Secret("postgres://order:hunter2@db/order") }, "connecting");
    assert.doesNotMatch(text(), /hunter2/);
    assert.match(text(), /"url":"\*\*\*"/);
  });
});
