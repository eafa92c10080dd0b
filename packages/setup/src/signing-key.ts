/** The key that access signs tokens and passports with, and the key set that all check them by. */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";

/** A new Ed25519 private key: PKCS#8, PEM. */
export function newSigningKey(): string {
  const { privateKey } = generateKeyPairSync("ed25519");
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

/** The JSON Web Key Set (RFC 7517) of a signing key's public half. */
export function publicKeySet(signingKey: string): string {
  const { crv, kty, x } = createPublicKey(createPrivateKey(signingKey)).export({ format: "jwk" });
  // RFC 7638: these members in this order, and nothing else.
  const kid = createHash("sha256").update(JSON.stringify({ crv, kty, x })).digest("base64url");
  return `${JSON.stringify({ keys: [{ crv, kty, x, kid }] }, null, 2)}\n`;
}
