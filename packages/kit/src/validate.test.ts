import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkedId, checkedPage, checkedText, pageToken } from "./validate.js";

describe("an id", () => {
  it("is a whole number from 1 to 2^31 - 1", () => {
    for (const id of [1, 7, 2 ** 31 - 1]) assert.equal(checkedId(id, "id"), id);
    for (const id of [0, -1, 1.5, 2 ** 31, 2 ** 53, 1e308, NaN, Infinity]) {
      assert.throws(() => checkedId(id, "orderId"), {
        code: "INVALID_ARGUMENT",
        reason: "ID_INVALID",
        metadata: { field: "orderId" },
      });
    }
  });
});

describe("a text", () => {
  const rule = { field: "name", reason: "NAME_INVALID", lengthMin: 1, lengthMax: 5 };
  const refused = { code: "INVALID_ARGUMENT", reason: "NAME_INVALID", metadata: { field: "name" } };

  it("is in composed form, without the space around it", () => {
    assert.equal(checkedText("  t\u0326ua\u0306 \n", rule), "\u021bu\u0103");
    assert.equal(checkedText("\u00a0a b\u3000", rule), "a b");
  });

  it("is counted in code points, as it is kept", () => {
    assert.equal(checkedText("🧀🧀🧀🧀🧀", rule), "🧀🧀🧀🧀🧀");
    assert.equal(checkedText("a\u0306a\u0306a\u0306a\u0306a\u0306", rule), "ăăăăă");
    assert.throws(() => checkedText("🧀🧀🧀🧀🧀🧀", rule), refused);
  });

  it("is refused when it is too short, too long or has control characters", () => {
    const bad = [
      "",
      "   ",
      "abcdef",
      "a\u0000b",
      "a\nb",
      "a\tb",
      "a\u007fb",
      "a\u0085b",
      "a\u009bb",
    ];
    for (const text of bad)
      assert.throws(() => checkedText(text, rule), refused, JSON.stringify(text));
  });

  it("may be empty where the rule has it so", () => {
    assert.equal(checkedText(" ", { ...rule, lengthMin: 0 }), "");
  });
});

describe("a page", () => {
  it("has 20 rows unless it is asked for 1 to 100, from the start or after an id", () => {
    assert.deepEqual(checkedPage(0, ""), { limit: 20, from: 0 });
    assert.deepEqual(checkedPage(1, pageToken(7)), { limit: 1, from: 7 });
    assert.deepEqual(checkedPage(100, pageToken(2 ** 31 - 1)), { limit: 100, from: 2 ** 31 - 1 });
  });

  it("is refused for another size", () => {
    for (const size of [-1, 101, 1.5, NaN]) {
      assert.throws(() => checkedPage(size, ""), {
        reason: "PAGE_INVALID",
        metadata: { field: "page_size" },
      });
    }
  });

  it("is refused for a token that was not handed out", () => {
    const encoded = (text: string) => Buffer.from(text).toString("base64url");
    const forged = ["-1", "1.5", " ", "0x10", "1e3", "x", "2147483648", "NaN", "007", "7 "];
    for (const token of [...forged.map(encoded), "!!!", "?", " ", "ție"]) {
      assert.throws(
        () => checkedPage(0, token),
        { reason: "PAGE_INVALID", metadata: { field: "page_token" } },
        token,
      );
    }
  });
});
