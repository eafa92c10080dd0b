/** Every secret of a shop, made once. Where they are kept is the store's business. */
import { randomBytes } from "node:crypto";
import { type Authority, issue, newAuthority } from "./certificates.js";
import { CERTIFIED, DATABASES, SERVICES_WITH_DATABASE } from "./programs.js";
import { newSigningKey, publicKeySet } from "./signing-key.js";

/** Texts that belong together, by the names of the files that they would be. */
export type Texts = Readonly<Record<string, string>>;

/** Where secrets are kept for good. */
export interface SecretStore {
  /**
   * What is kept under the name; when nothing is, what `make` makes is. Of many that ask at once
   * one is first, and all get what that one has made.
   */
  keep(name: string, make: () => Texts | Promise<Texts>): Promise<Texts>;
}

/** Where the databases will be, as host:port. */
export interface DatabaseServers {
  readonly postgres: string;
  /** Without it carts are in PostgreSQL. */
  readonly mongo: string | undefined;
}

/**
 * Makes what is missing, and changes nothing that is there. It may end at any line and be run again,
 * also many times at once: each secret is made from what is kept, never from what was only made.
 */
export async function makeSecrets(store: SecretStore, servers: DatabaseServers): Promise<void> {
  const authority = await store.keep("certificate-authority", async () => ({
    ...(await newAuthority()),
  }));
  for (const program of CERTIFIED) {
    await store.keep(`tls-${program}`, async () => ({
      ...(await issue(authorityIn(authority), program)),
    }));
  }
  const signing = await store.keep("access-signing-key", () => ({ "key.pem": newSigningKey() }));
  await store.keep("public-keys", () => ({
    "public-keys.json": publicKeySet(textIn(signing, "access-signing-key", "key.pem")),
  }));
  await store.keep("postgres-admin", () =>
    access({ username: "postgres", at: `postgres://${servers.postgres}/postgres` }),
  );
  for (const service of SERVICES_WITH_DATABASE) {
    const isMongo = service === "cart" && servers.mongo !== undefined;
    const at = isMongo
      ? `mongodb://${servers.mongo}/${DATABASES[service]}?authSource=admin`
      : `postgres://${servers.postgres}/${DATABASES[service]}`;
    await store.keep(`database-${service}`, () => access({ username: service, at }));
  }
}

/** Who gets in where, with a new password. */
function access({ username, at }: { username: string; at: string }): Texts {
  const password = newPassword();
  return { username, password, url: at.replace("://", `://${username}:${password}@`) };
}

/** As good as any key, and nothing in it has a meaning in a URL. */
export const newPassword = (): string => randomBytes(24).toString("hex");

function authorityIn(kept: Texts): Authority {
  return {
    "ca.crt": textIn(kept, "certificate-authority", "ca.crt"),
    "ca.key": textIn(kept, "certificate-authority", "ca.key"),
  };
}

function textIn(kept: Texts, name: string, key: string): string {
  const text = kept[key];
  if (text === undefined) throw new Error(`The secret ${name}, which was there, has no ${key}.`);
  return text;
}
