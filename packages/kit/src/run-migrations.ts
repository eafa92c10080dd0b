/** A program that migrates and ends: what runs before the instances of a new version do. */
import { ConfigError, readConfig, type Secret, type Setting } from "./config.js";
import { migrate } from "./migrate.js";
import { waitForPostgres } from "./wait-for-postgres.js";

/** sysexits.h: the configuration is wrong, so starting again would not help. */
const EX_CONFIG = 78;

/**
 * Waits for the database of a service and brings it to the newest schema; many may do so at once.
 * One that is not PostgreSQL has no schema. Exits with 78 when the configuration is wrong.
 */
export async function runMigrations(
  service: string,
  setting: Setting<Secret>,
  folder: URL,
): Promise<void> {
  // As process 1 of a container it would not be ended otherwise; nothing is left half done.
  process.once("SIGTERM", () => process.exit(143));
  try {
    const { url } = readConfig({ url: setting });
    if (!/^postgres(ql)?:/.test(url.reveal())) {
      console.log(`${service}: there is nothing to migrate`);
      return;
    }
    await (await waitForPostgres(url.reveal(), { program: "migrate" })).end();
    await migrate(url, folder);
    console.log(`${service}: the database is at the newest schema`);
  } catch (error) {
    process.stderr.write(`${service}: ${(error as Error).message}\n`);
    process.exitCode = error instanceof ConfigError ? EX_CONFIG : 1;
  }
}
