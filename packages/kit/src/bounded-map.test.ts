import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setBounded } from "./bounded-map.js";

describe("a bounded map", () => {
  const full = () => new Map([1, 2, 3].map((key) => [key, "old"]));

  it("lets go of what came first, and of no more than it must", () => {
    const map = full();
    setBounded(map, [4, "new"], 3);
    assert.deepEqual([...map.keys()], [2, 3, 4]);
  });

  it("lets go of nothing for a key that it has", () => {
    const map = full();
    setBounded(map, [1, "new"], 3);
    assert.deepEqual(
      [...map],
      [
        [1, "new"],
        [2, "old"],
        [3, "old"],
      ],
    );
  });
});
