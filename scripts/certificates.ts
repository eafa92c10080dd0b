// npm run certificates -- DIR: certificates by which the programs of a shop know each other.
//
// Each start of npm start makes new ones for itself. The authority's key signs them and is
// forgotten, so that nobody can ever make another certificate that these programs believe.
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Certificate, DAYS, issue, newAuthority } from "@piata/setup/certificates";
import { CERTIFIED } from "@piata/setup/programs";
import { sentence, writeWhole } from "./files.ts";

/** Writes ca.crt, tls.crt and tls.key for each program into a folder of its own. */
export async function writeCertificates(dir: string): Promise<void> {
  const authority = await newAuthority();
  await Promise.all(
    CERTIFIED.map(async (name) => writeCertificate(join(dir, name), await issue(authority, name))),
  );
}

/** Writes a program's ca.crt, tls.crt and tls.key into a folder. */
export async function writeCertificate(folder: string, certificate: Certificate): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeWhole(join(folder, "ca.crt"), certificate["ca.crt"]);
  await writeWhole(join(folder, "tls.crt"), certificate["tls.crt"]);
  await writeWhole(join(folder, "tls.key"), certificate["tls.key"], 0o600);
}

if (import.meta.main) {
  const [dir, ...more] = process.argv.slice(2);
  if (dir === undefined || dir.startsWith("-") || more.length > 0) {
    console.error("Usage: npm run certificates -- DIR");
    process.exit(1);
  }
  const folder = resolve(dir);
  writeCertificates(folder).then(
    () =>
      console.log(`${folder}: one folder each for ${CERTIFIED.join(", ")}; good for ${DAYS} days.`),
    (error) => {
      console.error(sentence(error));
      process.exitCode = 1;
    },
  );
}
