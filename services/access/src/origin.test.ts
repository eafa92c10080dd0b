import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { originOf } from "./origin.js";

const networkOf = (address: string) => originOf({ address, userAgent: "" }).network;

describe("an origin", () => {
  it("is one place for an IPv4 address, however it is written", () => {
    for (const address of ["203.0.113.7", "::ffff:203.0.113.7", "::FFFF:cb00:7107"]) {
      assert.equal(networkOf(address), "203.0.113.7");
    }
  });

  it("is one place for all of an IPv6 /64", () => {
    const same = ["2001:db8:1:2::", "2001:DB8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::192.0.2.1"];
    for (const address of same) assert.equal(networkOf(address), "2001:db8:1:2::");
    assert.equal(networkOf("2001:db8:1:3::1"), "2001:db8:1:3::");
    assert.equal(networkOf("::1"), "::");
    assert.equal(networkOf("fe80::1%eth0"), "fe80::");
  });

  it("is nowhere when the address is none", () => {
    for (const address of ["", "localhost", "1.2.3", "1.2.3.4, 5.6.7.8", "[::1", "x".repeat(1e6)]) {
      assert.deepEqual([originOf({ address, userAgent: "" })], [originOf()]);
    }
  });

  it("keeps 200 visible characters of what the program calls itself", () => {
    const { userAgent } = originOf({ address: "", userAgent: `\u0000\u001b[2J${"é".repeat(300)}` });
    assert.equal(userAgent, `[2J${"é".repeat(197)}`);
  });
});
