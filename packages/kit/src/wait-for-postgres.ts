/** For what runs before the programs do, when the database may still be on its way. */
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";

const PATIENCE_MS = 120_000;
const POLL_MS = 500;

/**
 * A connection to the database of the URL, as soon as there can be one: the server, the database or
 * the role's password may come later. Throws when they have not come in time.
 */
export async function waitForPostgres(
  url: string,
  { program, patienceMs = PATIENCE_MS }: { program: string; patienceMs?: number },
): Promise<pg.Client> {
  const deadlineMs = performance.now() + patienceMs;
  for (;;) {
    const client = new pg.Client({
      connectionString: url,
      application_name: program,
      connectionTimeoutMillis: 5_000,
    });
    // The statement under way is told of a broken connection; without a listener the process would
    // end.
    client.on("error", () => undefined);
    try {
      await client.connect();
      return client;
    } catch (error) {
      await client.end().catch(() => undefined);
      if (performance.now() >= deadlineMs) throw new Error(refusal(url, error), { cause: error });
    }
    await pause(Math.min(POLL_MS, patienceMs));
  }
}

function refusal(url: string, error: unknown): string {
  const { host, pathname } = new URL(url);
  // A host with several addresses fails with one error for each, and no message of its own.
  const { message, code } = error as NodeJS.ErrnoException;
  return `The database ${pathname.slice(1)} at ${host} cannot be opened: ${message || code}`;
}
