import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { InProgress, type Placed } from "./in-progress.js";

interface Item extends Placed {
  name: string;
}

const item = (name: string): Item => ({ name, place: -1 });

describe("what is in progress", () => {
  it("is what was added and not deleted, whatever the order", () => {
    const list = new InProgress<Item>();
    const expected = new Set<Item>();
    const items = Array.from({ length: 50 }, (_, at) => item(String(at)));
    // Each comes and goes a few times, in an order that is not theirs.
    for (let step = 0; step < 1_000; step += 1) {
      const one = items[(step * 37) % items.length] as Item;
      if (expected.delete(one)) assert.equal(list.delete(one), true);
      else {
        expected.add(one);
        list.add(one);
      }
      assert.deepEqual(new Set(list), expected);
      assert.equal(list.size, expected.size);
    }
  });

  it("does not mind what was deleted already, or never added", () => {
    const list = new InProgress<Item>();
    const [one, other] = [item("one"), item("other")];
    list.add(one);
    assert.equal(list.delete(other), false);
    assert.equal(list.delete(one), true);
    assert.equal(list.delete(one), false);
    assert.equal(list.size, 0);
  });

  it("can be emptied by whoever goes through it", () => {
    const list = new InProgress<Item>();
    for (const name of "abcd") list.add(item(name));
    const seen: string[] = [];
    for (const one of list) {
      seen.push(one.name);
      list.delete(one);
    }
    assert.deepEqual(seen.sort(), ["a", "b", "c", "d"]);
    assert.equal(list.size, 0);
  });
});
