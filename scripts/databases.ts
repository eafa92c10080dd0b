// The databases of the embedded PostgreSQL, with passwords that the launcher makes up.
import { createDatabases, urlOf } from "@piata/setup/databases";
import { DATABASES, SERVICES_WITH_DATABASE, type ServiceWithDatabase } from "@piata/setup/programs";
import { newPassword } from "@piata/setup/secrets";
import type { Secrets } from "./secrets.ts";

/**
 * The URL of each service's database. What is missing is made; `ready` is told of each as soon as it
 * can be used.
 */
export async function hostDatabases(
  superuserUrl: string,
  secrets: Secrets,
  ready?: (service: ServiceWithDatabase, url: string) => void,
): Promise<Record<ServiceWithDatabase, string>> {
  const urls: Partial<Record<ServiceWithDatabase, string>> = {};
  for (const service of SERVICES_WITH_DATABASE) {
    const name = `database.${service}`;
    const known = secrets.find(name);
    const password = known ?? newPassword();
    // Kept before the role has it: a start that ends in between is mended by the next one.
    if (known === undefined) await secrets.keep(name, password);
    urls[service] = urlOf(superuserUrl, {
      role: service,
      password,
      database: DATABASES[service],
    });
  }
  await createDatabases(superuserUrl, Object.values(urls), {
    ready: (made) => {
      const service = SERVICES_WITH_DATABASE.find((each) => urls[each] === made);
      if (service !== undefined) ready?.(service, made);
    },
  });
  return urls as Record<ServiceWithDatabase, string>;
}
