// What pods can refer to: made by manifests, by the setup program or by operators.
import type { Cluster } from "./cluster.ts";

interface SecretStore {
  keep(name: string, make: () => Texts | Promise<Texts>): Promise<Texts>;
}
type Texts = Readonly<Record<string, string>>;
type MakeSecrets = (store: SecretStore, servers: object) => Promise<void>;

export const SERVERS = { postgres: "postgres:5432", mongo: "mongo:27017" };

/** Every Secret that the setup program makes, by asking it to. */
export async function secretsOfSetup(): Promise<Map<string, Texts>> {
  const made = new Map<string, Texts>();
  const { makeSecrets } = (await import(
    new URL("../packages/setup/dist/secrets.js", import.meta.url).href
  )) as { makeSecrets: MakeSecrets };
  const keep: SecretStore["keep"] = async (name, make) => {
    const texts = made.get(name) ?? (await make());
    made.set(name, texts);
    return texts;
  };
  await makeSecrets({ keep }, SERVERS);
  return made;
}

const ofSetup = await secretsOfSetup();

/** The keys of each Secret that there will be. */
export function providedSecrets(cluster: Cluster): Map<string, Set<string>> {
  const secrets = new Map([...ofSetup].map(([name, texts]) => [name, new Set(Object.keys(texts))]));
  for (const { metadata } of cluster.of("Cluster")) {
    secrets.set(`${metadata.name}-app`, new Set(["username", "password", "uri"]));
  }
  for (const { spec } of cluster.of("MongoDBCommunity")) {
    for (const { connectionStringSecretName: name } of spec.users) {
      if (name !== undefined) secrets.set(name, new Set(["connectionString.standard"]));
    }
  }
  return secrets;
}

/** An example of what a Secret holds, as those who make it do. */
export function secretValue(cluster: Cluster, name: string, key: string): string {
  const made = ofSetup.get(name)?.[key];
  if (made !== undefined) return made;
  const database = cluster.of("Cluster").find(({ metadata }) => `${metadata.name}-app` === name);
  if (database) {
    const { owner, database: of } = database.spec.bootstrap.initdb;
    const password = "Xk29fQ";
    const server = `${database.metadata.name}-rw.piata:5432`;
    return {
      username: owner,
      password,
      uri: `postgresql://${owner}:${password}@${server}/${of}`,
    }[key] as string;
  }
  for (const { metadata, spec } of cluster.of("MongoDBCommunity")) {
    const user = spec.users.find((one) => one.connectionStringSecretName === name);
    const host = `${metadata.name}-0.${metadata.name}-svc.piata.svc.cluster.local`;
    if (user) return `mongodb://${user.name}:pw@${host}:27017/${user.db}?replicaSet=cart-db`;
  }
  return "";
}

/** The ports of each name that DNS will know. */
export function providedServices(cluster: Cluster): Map<string, Set<number>> {
  const services = new Map(
    cluster
      .of("Service")
      .map(({ metadata, spec }) => [
        metadata.name,
        new Set((spec?.ports ?? []).map(({ port }) => port)),
      ]),
  );
  for (const { metadata } of cluster.of("Pooler")) services.set(metadata.name, new Set([5432]));
  for (const { metadata } of cluster.of("Cluster")) {
    services.set(`${metadata.name}-rw`, new Set([5432]));
  }
  for (const { metadata, spec } of cluster.of("MongoDBCommunity")) {
    if (spec.users.length > 0) services.set(`${metadata.name}-svc`, new Set([27017]));
  }
  return services;
}
