// Runs once, before the programs: makes their secrets, and their databases.
import { resolve } from "node:path";
import { ConfigError, readConfig } from "@piata/kit/config";
import { adminSettings, databaseSettings, kubernetesSettings, serverSettings } from "./config.js";
import { createDatabases } from "./databases.js";
import { Folder } from "./folder.js";
import { Kubernetes } from "./kubernetes.js";
import { makeSecrets } from "./secrets.js";

/** sysexits.h: it was called wrongly; the configuration is wrong. */
const EX_USAGE = 64;
const EX_CONFIG = 78;

const USAGE = `Usage: node dist/main.js folder DIR    makes the secrets, as files, one folder per program
       node dist/main.js kubernetes    makes the secrets, as Secrets of the pod's namespace
       node dist/main.js databases     makes the roles and databases of PostgreSQL

What is there already is left as it is.`;

async function main([mode, ...args]: string[]): Promise<void> {
  if (mode === "folder" && args.length === 1) {
    return makeSecrets(new Folder(resolve(args[0] as string)), readConfig(serverSettings));
  }
  if (mode === "kubernetes" && args.length === 0) {
    const { postgres, mongo, ...options } = readConfig({
      ...serverSettings,
      ...kubernetesSettings,
    });
    return makeSecrets(await Kubernetes.open(options), { postgres, mongo });
  }
  if (mode === "databases" && args.length === 0) return makeDatabases();
  console.error(USAGE);
  process.exitCode = EX_USAGE;
}

async function makeDatabases(): Promise<void> {
  const { adminUrl } = readConfig(adminSettings);
  const urls = Object.values(readConfig(databaseSettings))
    .map((url) => url?.reveal() ?? "")
    .filter((url) => /^postgres(ql)?:/.test(url));
  if (urls.length === 0) {
    throw new ConfigError("None of ACCESS_DATABASE_URL, CATALOG_DATABASE_URL, … is in PostgreSQL.");
  }
  const done = await createDatabases(adminUrl.reveal(), urls);
  console.log(done.join("\n") || "every role and database is there");
}

// As process 1 of a container it would not be ended otherwise. It may be run again at any time.
process.once("SIGTERM", () => process.exit(143));

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = error instanceof ConfigError ? EX_CONFIG : 1;
}
