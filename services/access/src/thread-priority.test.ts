import assert from "node:assert/strict";
import { getPriority } from "node:os";
import { test } from "node:test";
import { hash } from "@node-rs/argon2";
import { didNotRun } from "@piata/testkit/did-not-run";
import { standBack } from "./thread-priority.js";

test("the threads that hash stand back, and no other", async () => {
  if (process.platform !== "linux") {
    didNotRun("the priority of threads", "only Linux has it");
    return;
  }
  const before = getPriority();
  await hash("a password");
  assert.ok((await standBack()) >= 4, "the threads of libuv's pool");
  assert.equal(getPriority(), before, "what answers requests is as quick as before");
  await hash("another password");
});
