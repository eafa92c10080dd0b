import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openLog } from "@piata/kit/log";
import { RequestLog } from "./request-log.js";

interface Line {
  code: string;
  durationMs: number;
  unlogged?: number;
}

function logOf(linesPerSecond: number) {
  const lines: Line[] = [];
  const clock = { ms: 0 };
  const destination = { write: (text: string) => void lines.push(JSON.parse(text)) };
  const log = openLog("trial", "info", destination);
  const requests = new RequestLog({ log, linesPerSecond, now: () => clock.ms });
  const write = (code = "OK", durationMs = 1) =>
    requests.write({ operation: "", code, reason: undefined, durationMs, traceId: "t" });
  return { lines, clock, write };
}

describe("the log of requests", () => {
  it("has a line of each while there are few", () => {
    const { lines, clock, write } = logOf(2);
    for (let second = 0; second < 3; second += 1) {
      clock.ms = second * 1_000;
      write();
      write();
    }
    assert.equal(lines.length, 6);
    assert.ok(lines.every(({ unlogged }) => unlogged === undefined));
  });

  it("tells with the next line how many had none, so that none is forgotten", () => {
    const { lines, clock, write } = logOf(2);
    for (let count = 0; count < 100; count += 1) write();
    clock.ms = 1_000;
    write();
    write();
    assert.deepEqual(
      lines.map(({ unlogged }) => unlogged),
      [undefined, undefined, 98, undefined],
    );
  });

  it("has a line of whatever failed or took long", () => {
    const { lines, write } = logOf(0);
    write();
    write("NOT_FOUND");
    write("OK", 500);
    write("OK", 499);
    assert.deepEqual(
      lines.map(({ code, durationMs, unlogged }) => [code, durationMs, unlogged]),
      [
        ["NOT_FOUND", 1, 1],
        ["OK", 500, undefined],
      ],
    );
  });
});
