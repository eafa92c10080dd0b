/** Who tests speak for: keys of their own, and passports that the started programs believe. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ItemContext, Role } from "@piata/contracts/item";

const PASSPORT_SECONDS = 3_600;

/** What passports are signed with. */
export interface SigningKey {
  privateKey: KeyObject;
  jwk: object;
  keyId: string;
}

const ours = signingKey(generateKeyPairSync("ed25519").privateKey);

function signingKey(privateKey: KeyObject): SigningKey {
  const { crv, kty, x } = createPublicKey(privateKey).export({ format: "jwk" });
  // RFC 7638: the members in this order, and nothing else.
  const keyId = createHash("sha256").update(JSON.stringify({ crv, kty, x })).digest("base64url");
  return { privateKey, jwk: { crv, kty, x, kid: keyId }, keyId };
}

/** The key of a shop that npm start has made; its data folder has it. */
export const keyOf = (dataDir: string): SigningKey =>
  signingKey(createPrivateKey(readFileSync(join(dataDir, "secrets", "access-signing-key.pem"))));

let files: { signingKey: string; publicKeys: string } | undefined;

/** What access signs with and what everyone checks by, as files; gone when the process ends. */
export function keyFiles(): { signingKey: string; publicKeys: string } {
  if (files) return files;
  const folder = mkdtempSync(join(tmpdir(), "piata-keys-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  files = { signingKey: join(folder, "key.pem"), publicKeys: join(folder, "keys.json") };
  const pem = ours.privateKey.export({ type: "pkcs8", format: "pem" });
  writeFileSync(files.signingKey, pem, { mode: 0o600 });
  writeFileSync(files.publicKeys, JSON.stringify({ keys: [ours.jwk] }));
  return files;
}

/** A signed passport; not by the library that checks it. */
export function passportOf(
  { userId, role, sessionId = "" }: { userId: number; role: Role; sessionId?: string },
  { privateKey, keyId } = ours,
): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const head = part({ alg: "EdDSA", kid: keyId, typ: "passport+jwt" });
  const claims = part({
    iss: "piata",
    aud: "piata-services",
    sub: String(userId),
    role,
    sid: sessionId,
    exp: Math.floor(Date.now() / 1_000) + PASSPORT_SECONDS,
  });
  const signature = sign(null, Buffer.from(`${head}.${claims}`), privateKey);
  return `${head}.${claims}.${signature.toString("base64url")}`;
}

/** The context of an item that nobody is signed in for. */
export const nobody: ItemContext = {
  traceId: "0".repeat(32),
  spanId: "",
  timeoutMs: 0,
  userId: 0,
  role: Role.UNSPECIFIED,
  passport: "",
  sessionId: "",
};

/** An item of a user: proven by a passport to who asks for that, named to who believes its caller. */
export const as = (userId: number, role = Role.CUSTOMER): { context: ItemContext } => ({
  context: {
    ...nobody,
    userId,
    role,
    passport: userId > 0 ? passportOf({ userId, role }) : "",
  },
});
