import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { addressIn, networkOf } from "./ip-address.js";

describe("an address", () => {
  it("is the same however it is written", () => {
    for (const [text, address] of [
      ["192.0.2.1", "192.0.2.1"],
      ["192.0.2.1:8080", "192.0.2.1"],
      ["::ffff:192.0.2.1", "192.0.2.1"],
      ["::FFFF:c000:0201", "192.0.2.1"],
      ["[::ffff:192.0.2.1]:80", "192.0.2.1"],
      ["2001:DB8:0:0:0::1", "2001:db8::1"],
      ["[2001:db8::1]:443", "2001:db8::1"],
      ["fe80::1%eth0", "fe80::1"],
      ["unknown", undefined],
      ["_hidden", undefined],
      ["192.0.2.1, 192.0.2.2", undefined],
      ["192.0.2.256", undefined],
      ["", undefined],
    ] as const) {
      assert.equal(addressIn(text), address, text);
    }
  });

  it("is counted by itself, an IPv6 one by its /64", () => {
    for (const [address, counted] of [
      ["192.0.2.1", "192.0.2.1"],
      ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"],
      ["2001:db8:1:2::", "2001:db8:1:2::"],
      ["2001:db8::1", "2001:db8::"],
      ["2001:db8:0:1::1", "2001:db8:0:1::"],
      ["::1", "::"],
      ["1::", "1::"],
      ["1:2:3:4:5:6:7::", "1:2:3:4::"],
      ["", ""],
    ] as const) {
      assert.equal(networkOf(address), counted, address);
    }
  });
});
