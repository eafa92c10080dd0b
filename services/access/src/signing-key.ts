/** For tests: the key file of a shop that lives as long as the test. */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface SigningKey {
  file: string;
  privateKey: KeyObject;
  publicKey: KeyObject;
  remove(): Promise<void>;
}

export async function createSigningKey(): Promise<SigningKey> {
  const folder = await mkdtemp(join(tmpdir(), "piata-access-"));
  const file = join(folder, "key.pem");
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  await writeFile(file, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  return {
    file,
    privateKey,
    publicKey,
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
