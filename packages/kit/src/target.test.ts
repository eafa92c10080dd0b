import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { until } from "@piata/testkit/until";
import { ConfigError } from "./config.js";
import { sourceOf } from "./target.js";

/** What a target's source has told, and the names that were looked up. */
function told(target: string, find: (host: string) => Promise<string[]> = async () => []) {
  const lists: (readonly string[])[] = [];
  const asked: string[] = [];
  const source = sourceOf(target, undefined, (host) => {
    asked.push(host);
    return find(host);
  });
  const unsubscribe = source.subscribe((addresses) => lists.push(addresses));
  return { lists, asked, unsubscribe };
}

describe("a target", () => {
  it("that is IP addresses and ports needs no looking up", async (t) => {
    for (const [target, ...addresses] of [
      ["127.0.0.1:50051", "127.0.0.1:50051"],
      ["dns:///127.0.0.1:50051", "127.0.0.1:50051"],
      ["dns:127.0.0.1:50051", "127.0.0.1:50051"],
      ["[::1]:50051", "[::1]:50051"],
      ["ipv4:10.0.0.1:1,10.0.0.2:2", "10.0.0.1:1", "10.0.0.2:2"],
    ] as const) {
      const { lists, asked, unsubscribe } = told(target);
      t.after(unsubscribe);
      await until(() => lists.length > 0);
      assert.deepEqual(lists, [addresses]);
      assert.deepEqual(asked, []);
    }
  });

  it("that is a name is every address of it", async (t) => {
    for (const [target, name] of [
      ["dns:///catalog.shop:50051", "catalog.shop"],
      ["catalog.shop:50051", "catalog.shop"],
      ["discovery:50051", "discovery"],
    ] as const) {
      const { lists, asked, unsubscribe } = told(target, async () => ["10.0.0.1", "fd00::1"]);
      t.after(unsubscribe);
      await until(() => lists.length > 0);
      assert.deepEqual(lists[0], ["10.0.0.1:50051", "[fd00::1]:50051"]);
      assert.equal(asked[0], name);
    }
  });

  it("that is a name is looked up again and again, and soon when that failed", async (t) => {
    const answers = [["10.0.0.1"], ["10.0.0.1", "10.0.0.2"]];
    let failures = 0;
    const { lists, unsubscribe } = told("dns:///catalog:1", async () => {
      failures += 1;
      if (failures <= 2) throw new Error("SERVFAIL");
      return answers.shift() ?? [];
    });
    t.after(unsubscribe);
    await until(() => lists.length >= 4);
    assert.deepEqual(lists.slice(0, 4), [[], [], ["10.0.0.1:1"], ["10.0.0.1:1", "10.0.0.2:1"]]);
  });

  it("of this machine's own name is found by its resolver", async (t) => {
    const lists: (readonly string[])[] = [];
    t.after(sourceOf("localhost:1", undefined).subscribe((addresses) => lists.push(addresses)));
    await until(() => lists.length > 0);
    assert.ok(lists[0]?.every((address) => ["127.0.0.1:1", "[::1]:1"].includes(address)));
    assert.ok((lists[0]?.length ?? 0) > 0);
  });

  it("that is none is a fault of the configuration", () => {
    for (const target of [
      "catalog",
      "",
      "http://catalog:1",
      "dns:///",
      "a:b",
      "dns://1.1.1.1/a:1",
      "ipv4:a:1",
      "ipv4:",
    ]) {
      assert.throws(() => sourceOf(target, undefined), ConfigError, target);
    }
    assert.throws(() => sourceOf("discovery:///cart", undefined), /DISCOVERY_ADDRESSES is missing/);
  });
});
