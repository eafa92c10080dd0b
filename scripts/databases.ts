// A database for each service that keeps something, each owned by a role of its own.
import { randomBytes } from "node:crypto";
import pg from "pg";
import type { Secrets } from "./secrets.ts";

/** Role by service; the database is named after what it holds (design.md). */
const DATABASES = {
  access: "user",
  catalog: "catalog",
  cart: "cart",
  order: "order",
  payment: "payment",
} as const;

export type Service = keyof typeof DATABASES;
export const SERVICES_WITH_DATABASE = Object.keys(DATABASES) as Service[];

/** The URL of each service's database. What is missing is made; one round trip if nothing is. */
export async function createDatabases(
  superuserUrl: string,
  secrets: Secrets,
): Promise<Record<Service, string>> {
  const client = new pg.Client({ connectionString: superuserUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string }>(`
      select 'role ' || rolname as name from pg_roles
      union all
      select 'database ' || datname from pg_database
      union all
      select 'closed ' || datname from pg_database
       where not has_database_privilege('public', oid, 'connect')`);
    const existing = new Set(rows.map(({ name }) => name));
    const urls: Partial<Record<Service, string>> = {};
    for (const service of SERVICES_WITH_DATABASE) {
      const database = DATABASES[service];
      const password = await ensureRole(client, service, { secrets, existing });
      if (!existing.has(`database ${database}`)) {
        const [name, owner] = [database, service].map(pg.escapeIdentifier);
        await client.query(`create database ${name} owner ${owner}`);
      }
      const url = new URL(superuserUrl);
      url.username = service;
      url.password = password;
      url.pathname = `/${database}`;
      urls[service] = url.href;
    }
    await closeToOthers(client, existing);
    return urls as Record<Service, string>;
  } finally {
    await client.end();
  }
}

// The password is kept only after the role has it. A crash in between leaves a role without a known
// password, which gets a new one at the next start.
async function ensureRole(
  client: pg.Client,
  role: Service,
  { secrets, existing }: { secrets: Secrets; existing: ReadonlySet<string> },
): Promise<string> {
  const exists = existing.has(`role ${role}`);
  const known = secrets.find(`database.${role}`);
  if (exists && known !== undefined) return known;
  const password = randomBytes(24).toString("hex");
  const name = pg.escapeIdentifier(role);
  await client.query(
    `${exists ? "alter" : "create"} role ${name} login password ${pg.escapeLiteral(password)}`,
  );
  await secrets.keep(`database.${role}`, password);
  return password;
}

// By default every role may connect to every database, the server's own included.
async function closeToOthers(client: pg.Client, existing: ReadonlySet<string>): Promise<void> {
  for (const database of [...Object.values(DATABASES), "postgres", "template1"]) {
    if (existing.has(`closed ${database}`)) continue;
    await client.query(`revoke all on database ${pg.escapeIdentifier(database)} from public`);
  }
}
