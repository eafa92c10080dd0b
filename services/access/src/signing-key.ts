/** The private key that signs access tokens and passports. */
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import { ConfigError } from "@piata/kit/config";
import type { SigningKey } from "@piata/kit/passport";
import { calculateJwkThumbprint } from "jose";

/** The setting that names its file. */
export const SIGNING_KEY_NAME = "ACCESS_SIGNING_KEY_FILE";

/** Reads the key. Throws ConfigError when the file holds no Ed25519 private key. */
export async function openSigningKey(file: string): Promise<SigningKey> {
  const pem = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new ConfigError(`${SIGNING_KEY_NAME}: the file cannot be read (${error.code}).`);
  });
  let privateKey: KeyObject | undefined;
  try {
    privateKey = createPrivateKey(pem);
  } catch {
    // OpenSSL's words would say nothing that the message below does not.
  }
  if (privateKey?.asymmetricKeyType !== "ed25519") {
    throw new ConfigError(
      `${SIGNING_KEY_NAME}: the file must hold an Ed25519 private key (PKCS#8, PEM).`,
    );
  }
  return { privateKey, keyId: await calculateJwkThumbprint(jwkOf(privateKey)) };
}

/** What stands for the key in a JSON Web Key Set. */
export const publicJwk = ({ privateKey, keyId }: SigningKey) => ({
  ...jwkOf(privateKey),
  kid: keyId,
});

const jwkOf = (privateKey: KeyObject) => createPublicKey(privateKey).export({ format: "jwk" });
