import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { makeRoom, setBounded } from "./bounded-map.js";

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

describe("room in a map", () => {
  const mapOf = (wanted: boolean[]) =>
    new Map(wanted.map((isWanted, at) => [at, { at, wanted: isWanted }]));

  it("is made by the first that nobody wanted, and who was wanted has to be again", () => {
    const map = mapOf([true, false, true]);
    assert.equal(makeRoom(map)?.at, 1);
    assert.deepEqual(
      [...map.values()].map(({ at, wanted }) => [at, wanted]),
      [
        [2, true],
        [0, false],
      ],
    );
  });

  it("is made by the first of all when everybody was wanted", () => {
    const map = mapOf([true, true]);
    assert.equal(makeRoom(map)?.at, 0);
    assert.deepEqual([...map.keys()], [1]);
  });

  it("cannot be made where there is nothing", () => {
    assert.equal(makeRoom(mapOf([])), undefined);
  });
});
