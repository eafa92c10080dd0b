import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AddressSet } from "./addresses.js";

describe("a list of addresses", () => {
  it("holds addresses and networks of both kinds, and mapped ones", () => {
    const list = new AddressSet(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1"]);
    for (const address of ["10.255.0.1", "::ffff:10.0.0.1", "192.0.2.1", "2001:db8:1::1", "::1"]) {
      assert.ok(list.has(address), address);
    }
    for (const address of ["11.0.0.1", "192.0.2.2", "2001:db9::1", "::2", "unknown", ""]) {
      assert.ok(!list.has(address), address);
    }
    assert.ok(!new AddressSet([]).has("127.0.0.1"));
  });

  it("takes no words that it would have to guess about, and not the whole internet", () => {
    for (const word of [
      "localhost",
      "10.0.0.0/33",
      "10.0.0/8",
      "0.0.0.0/0",
      "::/0",
      "10.0.0.0/8/8",
    ]) {
      assert.throws(() => new AddressSet([word]), RangeError, word);
    }
    for (const word of ["10.0.0.0/", "10.0.0.0/a", "10.0.0.1-10.0.0.9", "::1/129", "*"]) {
      assert.throws(() => new AddressSet([word]), RangeError, word);
    }
  });
});
