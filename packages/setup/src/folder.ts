/**
 * Secrets as files: DIR/PROGRAM/ holds what one program may see, and nothing else, so that each
 * folder can be a volume of its own.
 */
import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { SecretStore, Texts } from "./secrets.js";

/** Who checks tokens and passports. */
const CHECKERS = ["access", "catalog", "cart", "order"];

/** Not secret, or read by a database's own user in a folder that only its server has. */
const READ_BY_ALL = 0o444;
const READ_BY_OWNER = 0o600;
const OPEN_TO_ALL = new Set(["ca.crt", "tls.crt", "public-keys.json"]);

export class Folder implements SecretStore {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  async keep(name: string, make: () => Texts | Promise<Texts>): Promise<Texts> {
    const [first = "", ...copies] = placesOf(name).map((place) => join(this.#dir, place));
    const kept = (await find(first)) ?? (await put(first, name, await make()));
    for (const copy of copies) if (!(await find(copy))) await put(copy, name, kept);
    return kept;
  }
}

/** The folders that a secret is in. */
function placesOf(name: string): string[] {
  const [, kind, whose] = /^(tls|database)-(\w+)$/.exec(name) ?? [];
  if (whose === "operator") return ["setup/operator"];
  if (kind !== undefined) {
    const own = `${whose}/${kind}`;
    // The server has one user, the cart, and is told who that is.
    return name === "database-cart" ? [own, "mongo/database"] : [own];
  }
  if (name === "access-signing-key") return ["access/signing"];
  if (name === "public-keys") return CHECKERS.map((program) => `${program}/keys`);
  if (name === "postgres-admin") return ["postgres/admin"];
  return [`setup/${name}`];
}

async function find(folder: string): Promise<Texts | undefined> {
  try {
    const names = await readdir(folder);
    const texts = names.map((name) => readFile(join(folder, name), "utf8"));
    const found = await Promise.all(texts);
    return Object.fromEntries(names.map((name, index) => [name, found[index] as string]));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Moves the whole folder into its place, so that nobody ever finds a part of it. */
async function put(folder: string, name: string, texts: Texts): Promise<Texts> {
  await mkdir(dirname(folder), { recursive: true });
  const next = join(dirname(folder), `.new-${randomUUID()}`);
  try {
    await mkdir(next);
    for (const [file, text] of Object.entries(texts)) {
      await writeFile(join(next, file), text, { mode: modeOf(folder, file) });
    }
    await rename(next, folder);
    console.log(`${name}: made`);
    return texts;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Another run was first: a folder that is not empty is never replaced.
    const theirs = code === "ENOTEMPTY" || code === "EEXIST" ? await find(folder) : undefined;
    if (theirs === undefined) throw error;
    return theirs;
  } finally {
    await rm(next, { recursive: true, force: true });
  }
}

function modeOf(folder: string, file: string): number {
  const isServers = /[\\/](postgres|mongo)[\\/]\w+$/.test(folder);
  return isServers || OPEN_TO_ALL.has(file) ? READ_BY_ALL : READ_BY_OWNER;
}
