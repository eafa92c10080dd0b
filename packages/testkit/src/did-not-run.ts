import { appendFileSync } from "node:fs";

/** Has `npm test` say at its end what this machine could not run, and why. */
export function didNotRun(what: string, why: string): void {
  const file = process.env.PIATA_DID_NOT_RUN;
  if (file) appendFileSync(file, `${what}: ${why}\n`);
}
