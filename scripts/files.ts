import { readFile, rename, rm, writeFile } from "node:fs/promises";

/** Writes a file so that a reader, or a start after a crash, finds the old text or the new one. */
export async function writeWhole(path: string, text: string, mode = 0o644): Promise<void> {
  const next = `${path}.${process.pid}.new`;
  try {
    await writeFile(next, text, { mode });
    await rename(next, path);
  } catch (error) {
    await rm(next, { force: true });
    throw error;
  }
}

/** The file's text, or undefined if there is no such file. */
export async function findText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

export async function findJson<T>(path: string): Promise<T | undefined> {
  const text = await findText(path);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new Error(`${path} is not JSON. Repair or remove it.`);
  }
}

export function isCode(error: unknown, ...codes: string[]): boolean {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === "string" && codes.includes(code);
}

/** What a person should read: the sentence, without a stack. */
export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
