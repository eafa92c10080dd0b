/** A role and a database for each service that keeps something, which nobody else can open. */
import { waitForPostgres } from "@piata/kit/wait-for-postgres";
import pg from "pg";

// One number for all: of many that make databases of one server, one at a time does.
const LOCK = 7_426_802;
const WRONG_PASSWORD = "28P01";
/** It lets its owner in, as far as passwords go: the database is not there yet. */
const NO_DATABASE = "3D000";

/** What a service's URL says of its database. */
interface Owned {
  readonly role: string;
  readonly password: string;
  readonly database: string;
}

export interface CreateOptions {
  /** How long to wait for the server. */
  patienceMs?: number;
  /** Told of each URL as soon as it can be used. */
  ready?: (serviceUrl: string) => void;
}

/**
 * Makes the roles and databases that the services' URLs name, with the passwords in them, on the
 * server of the administrator's URL. It waits for that server; it may be run again, also many times
 * at once, and mends a password that is another. Returns what it has made or mended.
 */
export async function createDatabases(
  adminUrl: string,
  serviceUrls: readonly string[],
  { ready, ...options }: CreateOptions = {},
): Promise<string[]> {
  const owned = serviceUrls.map(ownedBy);
  const client = await waitForPostgres(adminUrl, { ...options, program: "setup" });
  try {
    await client.query("select pg_advisory_lock($1)", [LOCK]);
    const existing = await namesOf(client);
    for (const own of ["postgres", "template1"]) await closeToOthers(client, own, existing);
    const done: string[] = [];
    for (const [index, one] of owned.entries()) {
      done.push(...(await ensure(client, adminUrl, { ...one, existing })));
      ready?.(serviceUrls[index] as string);
    }
    return done;
  } finally {
    await client.end();
  }
}

function ownedBy(serviceUrl: string): Owned {
  const url = new URL(serviceUrl);
  const owned = {
    role: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(url.pathname.slice(1)),
  };
  if (Object.values(owned).includes("")) {
    throw new Error("A service's database URL must have a user, a password and a database.");
  }
  return owned;
}

async function namesOf(client: pg.Client): Promise<ReadonlySet<string>> {
  const { rows } = await client.query<{ name: string }>(`
    select 'role ' || rolname as name from pg_roles
    union all
    select 'database ' || datname from pg_database
    union all
    select 'closed ' || datname from pg_database
     where not has_database_privilege('public', oid, 'connect')`);
  return new Set(rows.map(({ name }) => name));
}

async function ensure(
  client: pg.Client,
  adminUrl: string,
  { role, password, database, existing }: Owned & { existing: ReadonlySet<string> },
): Promise<string[]> {
  const done: string[] = [];
  const name = pg.escapeIdentifier(role);
  const secret = pg.escapeLiteral(password);
  if (!existing.has(`role ${role}`)) {
    await client.query(`create role ${name} login password ${secret}`);
    done.push(`role ${role}: made`);
  } else if (!(await letsIn(adminUrl, { role, password, database }))) {
    await client.query(`alter role ${name} login password ${secret}`);
    done.push(`role ${role}: given its password`);
  }
  if (!existing.has(`database ${database}`)) {
    await client.query(`create database ${pg.escapeIdentifier(database)} owner ${name}`);
    done.push(`database ${database}: made`);
  }
  await closeToOthers(client, database, existing);
  return done;
}

/** Whether the server takes the password. */
async function letsIn(adminUrl: string, owned: Owned): Promise<boolean> {
  const client = new pg.Client({ connectionString: urlOf(adminUrl, owned) });
  client.on("error", () => undefined);
  try {
    await client.connect();
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === WRONG_PASSWORD) return false;
    if (code === NO_DATABASE) return true;
    throw error;
  } finally {
    await client.end();
  }
}

/** The URL of a database on the server of another. */
export function urlOf(serverUrl: string, { role, password, database }: Owned): string {
  const url = new URL(serverUrl);
  url.username = encodeURIComponent(role);
  url.password = encodeURIComponent(password);
  url.pathname = `/${encodeURIComponent(database)}`;
  return url.href;
}

// By default every role may connect to every database, the server's own included.
async function closeToOthers(
  client: pg.Client,
  database: string,
  existing: ReadonlySet<string>,
): Promise<void> {
  if (existing.has(`closed ${database}`)) return;
  await client.query(`revoke all on database ${pg.escapeIdentifier(database)} from public`);
}
