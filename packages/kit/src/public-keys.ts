/** The public keys whose signatures are believed, as a JSON Web Key Set (RFC 7517) in a file. */
import { readFile } from "node:fs/promises";
import { createLocalJWKSet, type JWTVerifyGetKey } from "jose";
import * as z from "zod";
import { ConfigError, setting } from "./config.js";

/** The only algorithm that is signed with or believed: EdDSA with Ed25519 keys (RFC 8037). */
export const ALGORITHM = "EdDSA";

const NAME = "PIATA_PUBLIC_KEYS_FILE";

/** The setting that names the file. */
export const publicKeysFile = () =>
  setting(
    NAME,
    z.string(),
    "The JSON Web Key Set whose keys sign access tokens and passports; the same for all programs.",
  );

// Other members, such as "use", may stand beside these.
const KEY_SET = z.object({
  keys: z
    .array(
      z.object({
        kty: z.literal("OKP"),
        crv: z.literal("Ed25519"),
        x: z.string().regex(/^[\w-]{43}$/),
        kid: z.string().min(1).max(100),
        d: z.undefined("this is a private key, which does not belong here").optional(),
      }),
    )
    .min(1)
    .max(20),
});

export interface PublicKeys {
  /** The ids of the keys. */
  ids: readonly string[];
  /** For jose: the key that a token's header names. */
  find: JWTVerifyGetKey;
}

/** Reads a key set. Throws ConfigError. */
export async function openPublicKeys(file: string): Promise<PublicKeys> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new ConfigError(`${NAME}: the file cannot be read (${error.code}).`);
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new ConfigError(`${NAME}: the file must be JSON.`);
  }
  const parsed = KEY_SET.safeParse(json);
  if (!parsed.success) {
    const faults = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
    throw new ConfigError(
      `${NAME}: the file must be a set of Ed25519 public keys with ids (${faults.join("; ")}).`,
    );
  }
  const keys = parsed.data.keys.map(({ kty, crv, x, kid }) => ({
    kty,
    crv,
    x,
    kid,
    alg: ALGORITHM,
  }));
  return { ids: keys.map(({ kid }) => kid), find: createLocalJWKSet({ keys }) };
}
