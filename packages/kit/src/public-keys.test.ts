import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ConfigError } from "./config.js";
import { openPublicKeys } from "./public-keys.js";

const KEY = { kty: "OKP", crv: "Ed25519", x: "A".repeat(43), kid: "one" };

describe("the public keys", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "piata-public-keys-"));
  });
  after(() => rm(folder, { recursive: true }));

  async function open(content: unknown): Promise<readonly string[]> {
    const file = join(folder, "keys.json");
    await writeFile(file, typeof content === "string" ? content : JSON.stringify(content));
    return (await openPublicKeys(file)).ids;
  }

  it("are a set with an id for each, so that there can be a new one beside the old", async () => {
    assert.deepEqual(await open({ keys: [KEY, { ...KEY, kid: "two", use: "sig" }] }), [
      "one",
      "two",
    ]);
  });

  const WRONG: [what: string, content: unknown, says: RegExp][] = [
    ["is not JSON", "-----BEGIN PUBLIC KEY-----", /must be JSON/],
    ["has no keys", { keys: [] }, /keys/],
    ["has a key of another kind", { keys: [{ ...KEY, kty: "RSA" }] }, /keys\.0\.kty/],
    ["has a key without an id", { keys: [{ ...KEY, kid: undefined }] }, /keys\.0\.kid/],
    ["has a private key", { keys: [{ ...KEY, d: "secret-part" }] }, /private key/],
  ];
  for (const [what, content, says] of WRONG) {
    it(`are refused when the file ${what}`, async () => {
      await assert.rejects(open(content), (error) => {
        assert.ok(error instanceof ConfigError);
        assert.match(error.message, /^PIATA_PUBLIC_KEYS_FILE/);
        assert.match(error.message, says);
        assert.doesNotMatch(error.message, /secret-part/);
        return true;
      });
    });
  }

  it("are refused when there is no file", async () => {
    await assert.rejects(openPublicKeys(join(folder, "none")), /cannot be read \(ENOENT\)/);
  });
});
