import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkedEmail, checkedPassword, findPassword } from "./user.js";

describe("an e-mail", () => {
  it("is the same user's however it is typed", () => {
    assert.equal(checkedEmail("Ana.Pop@Example.COM"), "ana.pop@example.com");
    assert.equal(checkedEmail("a\u0301na@example.com"), checkedEmail("\u00c1na@example.com"));
  });

  it("may have what addresses have", () => {
    for (const email of ["a@b.ro", "a+b_c.d@x-y.example.museum", "o'neil@例え.テスト"]) {
      assert.equal(checkedEmail(email), email);
    }
  });

  const bad = [
    "",
    "ana",
    "@example.com",
    "ana@",
    "ana@example",
    "ana@example.c",
    "ana@@example.com",
    "ana@b@example.com",
    "ana@.com",
    "ana@example..com",
    "ana@example.com.",
    "ana @example.com",
    " ana@example.com",
    "ana@example.com\n",
    "an\u0000a@example.com",
    "an\u200ba@example.com",
    "Ana <ana@example.com>",
    `${"a".repeat(65)}@example.com`,
    `ana@${"b".repeat(250)}.com`,
    `${"é".repeat(60)}@${"é".repeat(80)}.com`,
  ];
  for (const email of bad) {
    it(`is not ${JSON.stringify(email.slice(0, 30))}`, () => {
      assert.throws(() => checkedEmail(email), { reason: "EMAIL_INVALID" });
    });
  }
});

describe("a password", () => {
  const email = "annabelle@example.com";

  it("has 8 to 128 characters, however many bytes they take", () => {
    for (const good of ["korrekt1", "x1".repeat(64), "🐴🔋📎🐴🔋📎🐴🔋", `${"🐴🔋".repeat(64)}`]) {
      assert.equal(checkedPassword(good, email), good);
    }
  });

  it("is the same however its accents are composed", () => {
    assert.equal(findPassword("caf\u00e9-noir"), findPassword("cafe\u0301-noir"));
  });

  it("is too long from 129 characters on", () => {
    for (const long of [
      "x1".repeat(64).concat("x"),
      "🐴🔋".repeat(64).concat("x"),
      "x".repeat(10_240),
    ]) {
      assert.throws(() => checkedPassword(long, email), { reason: "PASSWORD_TOO_LONG" });
    }
  });

  const weak = [
    "",
    "short1!",
    "🐴🔋📎🐴",
    "aaaaaaaaaaaa",
    "🐴🐴🐴🐴🐴🐴🐴🐴",
    "Password123",
    "QWERTYUIOP",
    "12345678",
    "annabelle",
    "Annabelle@Example.com",
  ];
  for (const password of weak) {
    it(`is weak as ${JSON.stringify(password)}`, () => {
      assert.throws(() => checkedPassword(password, email), { reason: "PASSWORD_WEAK" });
    });
  }

  it("is never repeated in the message that refuses it", () => {
    assert.throws(
      () => checkedPassword("Password123", email),
      (error: Error) => !JSON.stringify({ ...error, message: error.message }).includes("word123"),
    );
  });
});
