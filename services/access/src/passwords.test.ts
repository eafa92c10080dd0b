import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Metrics } from "@piata/kit/metrics";
import { type PasswordLimits, Passwords } from "./passwords.js";

const TOO_MANY = { code: "RESOURCE_EXHAUSTED", reason: "TOO_MANY_PASSWORD_CHECKS" };

const open = (limits: PasswordLimits) => Passwords.open(limits, new Metrics("test"));

/** Whether a password is the one of a hash; a stranger asks. */
const matches = (passwords: Passwords, hash: string | undefined, password: string) =>
  passwords.admit(false, () => passwords.check(hash, password));

describe("passwords", () => {
  it("are hashed by argon2id with OWASP's parameters and a salt of their own", async () => {
    const passwords = await open({ atOnce: 2, waitingMax: 2 });
    const [one, other] = await Promise.all([
      passwords.hash("same one"),
      passwords.hash("same one"),
    ]);
    assert.match(one, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    assert.notEqual(one, other);
    assert.equal(await matches(passwords, one, "same one"), true);
    assert.equal(await matches(passwords, one, "Same one"), false);
  });

  it("match nobody's hash, after the same work", async () => {
    const passwords = await open({ atOnce: 1, waitingMax: 0 });
    const unknown = matches(passwords, undefined, "same one");
    // Its turn is taken: it is being checked against something.
    await assert.rejects(matches(passwords, undefined, "same one"), TOO_MANY);
    assert.equal(await unknown, false);
  });

  it("are checked a few at a time, wait within a bound and are refused beyond it", async () => {
    const passwords = await open({ atOnce: 2, waitingMax: 3 });
    const hashes = Array.from({ length: 20 }, () => passwords.hash("same one"));
    const settled = await Promise.allSettled(hashes);
    const refused = settled.filter(({ status }) => status === "rejected");
    assert.equal(refused.length, 15);
    for (const { reason } of refused as PromiseRejectedResult[]) {
      assert.equal(reason.reason, TOO_MANY.reason);
    }
  });

  it("are checked again after a flood, and after a check that broke", async () => {
    const passwords = await open({ atOnce: 1, waitingMax: 1 });
    await assert.rejects(matches(passwords, "not a hash", "same one"));
    await Promise.allSettled([1, 2, 3, 4].map(() => passwords.hash("same one")));
    assert.equal(await matches(passwords, await passwords.hash("same one"), "same one"), true);
  });

  it("of owners find a place when strangers have taken all of theirs", async () => {
    const passwords = await open({ atOnce: 1, waitingMax: 8 });
    const strangers = await Promise.allSettled([
      ...Array.from({ length: 20 }, () => matches(passwords, undefined, "same one")),
      ...[1, 2, 3].map(() => passwords.admit(true, async () => "owner")),
    ]);
    const served = strangers.filter(({ status }) => status === "fulfilled");
    const owners = served.filter((each) => "value" in each && each.value === "owner");
    assert.deepEqual([served.length, owners.length], [1 + 6 + 2, 2]);
  });
});
