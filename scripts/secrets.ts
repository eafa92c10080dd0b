import { findJson, writeWhole } from "./files.ts";

/** Passwords that the launcher made up, by name, in a file that only its user can read. */
export interface Secrets {
  find(name: string): string | undefined;
  keep(name: string, value: string): Promise<void>;
}

export async function openSecrets(path: string): Promise<Secrets> {
  const values = new Map(Object.entries((await findJson<Record<string, string>>(path)) ?? {}));
  return {
    find: (name) => values.get(name),
    async keep(name, value) {
      values.set(name, value);
      await writeWhole(path, `${JSON.stringify(Object.fromEntries(values), null, 2)}\n`, 0o600);
    },
  };
}
