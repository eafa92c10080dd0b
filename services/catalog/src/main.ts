import { CatalogServiceService } from "@piata/contracts/catalog";
import { migrate } from "@piata/kit/migrate";
import { Passports } from "@piata/kit/passport";
import { Database } from "@piata/kit/pg";
import { defineProgram, type Start } from "@piata/kit/program";
import { openPublicKeys } from "@piata/kit/public-keys";
import { run } from "@piata/kit/run";
import { settings } from "./config.js";
import { CatalogHandlers, RULES } from "./handlers.js";
import { CatalogStore } from "./store.js";

const start: Start<typeof settings> = async ({ config, log, metrics, onStop }) => {
  const { databaseUrl, currencyCode, writers, writesPerDay, categoriesMax } = config;
  await migrate(databaseUrl, new URL("../migrations/", import.meta.url));
  const db = new Database(databaseUrl, { program: "catalog", metrics });
  onStop(() => db.close());
  const store = new CatalogStore(db, { currencyCode, writesPerDay, categoriesMax });
  await store.settleCurrency();
  const passports = new Passports(await openPublicKeys(config.publicKeysFile), log);
  return {
    services: { "piata.catalog.v1.CatalogService": CatalogServiceService },
    passports,
    controllers: [CatalogHandlers],
    providers: [
      { provide: CatalogStore, useValue: store },
      { provide: RULES, useValue: { currencyCode, writers } },
    ],
  };
};

export const catalog = defineProgram("catalog", settings, start);

if (import.meta.main) await run(catalog);
