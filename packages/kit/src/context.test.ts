import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Role } from "@piata/contracts/item";
import { nobody } from "@piata/testkit/identity";
import { ownContext, signedIn, staff, toItemContext } from "./context.js";
import { newTraceId } from "./trace-id.js";

const item = (userId: number, role: Role) => ({
  ...nobody,
  traceId: newTraceId(),
  userId,
  role,
});

describe("a context", () => {
  it("has a trace id of 32 hex digits, another one each time", () => {
    const ids = new Set(Array.from({ length: 100 }, newTraceId));
    assert.equal(ids.size, 100);
    for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/);
  });

  it("of a program's own is nobody's, and ends in time", () => {
    const before = Date.now();
    const { userId, role, deadlineMs, traceId } = ownContext(500);
    assert.deepEqual([userId, role], [0, Role.UNSPECIFIED]);
    assert.ok(deadlineMs >= before + 500 && deadlineMs <= Date.now() + 500);
    assert.match(traceId, /^[0-9a-f]{32}$/);
    assert.equal(ownContext(500, 7, "a").userId, 7);
    assert.equal(ownContext(500, 7, "a").traceId, "a");
  });

  it("goes into an item with the time that is left, and never with none", () => {
    const { timeoutMs: _, ...rest } = item(7, Role.STAFF);
    const context = { ...rest, deadlineMs: 10_500 };
    assert.deepEqual(toItemContext(context, 10_000), { ...rest, timeoutMs: 500 });
    assert.equal(toItemContext(context, 10_600).timeoutMs, 1);
  });
});

describe("who may", () => {
  it("is the signed-in user, or nobody", () => {
    assert.equal(signedIn(item(7, Role.CUSTOMER)), 7);
    for (const nobody of [undefined, item(0, Role.UNSPECIFIED), item(-1, Role.STAFF)]) {
      const refused = { code: "UNAUTHENTICATED", reason: "SIGN_IN_REQUIRED" };
      assert.throws(() => signedIn(nobody), refused);
      assert.throws(() => staff(nobody), refused);
    }
  });

  it("is staff for what only staff may do", () => {
    assert.equal(staff(item(7, Role.STAFF)), 7);
    for (const role of [Role.CUSTOMER, Role.UNSPECIFIED]) {
      assert.throws(() => staff(item(7, role)), {
        code: "PERMISSION_DENIED",
        reason: "STAFF_ONLY",
      });
    }
  });
});
