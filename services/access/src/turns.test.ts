import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Turns } from "./turns.js";

describe("turns", () => {
  it("of one key come one after the other, and hold up no other key's", async () => {
    const turns = new Turns();
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const order: string[] = [];
    let inside = 0;
    const mine = ["first", "second", "third"].map((name) =>
      turns.inTurn("mine", async () => {
        inside += 1;
        assert.equal(inside, 1);
        await gate;
        inside -= 1;
        order.push(name);
      }),
    );
    await turns.inTurn("other", async () => order.push("other"));
    open();
    await Promise.all(mine);
    assert.deepEqual(order, ["other", "first", "second", "third"]);
  });

  it("go on after work that failed, whose asker is told", async () => {
    const turns = new Turns();
    const failing = turns.inTurn("mine", () => Promise.reject(new Error("no")));
    const next = turns.inTurn("mine", async () => "done");
    await assert.rejects(failing, /no/);
    assert.equal(await next, "done");
    assert.equal(await turns.inTurn("mine", async () => "again"), "again");
  });
});
