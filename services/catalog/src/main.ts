import { CatalogServiceService } from "@piata/contracts/catalog";
import { migrate } from "@piata/kit/migrate";
import { Passports } from "@piata/kit/passport";
import { Database } from "@piata/kit/pg";
import { defineProgram, type Start } from "@piata/kit/program";
import { openPublicKeys } from "@piata/kit/public-keys";
import { run } from "@piata/kit/run";
import { ChangeStore } from "./change-store.js";
import { Changes } from "./changes.js";
import { settings } from "./config.js";
import { CatalogHandlers, RULES } from "./handlers.js";
import { CatalogStore } from "./store.js";
import { Upkeep } from "./upkeep.js";

const start: Start<typeof settings> = async ({ config, log, metrics, onStop }) => {
  const { databaseUrl, currencyCode, writers, writesPerDay, categoriesMax } = config;
  await migrate(databaseUrl, new URL("../migrations/", import.meta.url));
  const db = new Database(databaseUrl, { program: "catalog", metrics });
  onStop(() => db.close());
  const store = new CatalogStore(db, { currencyCode, writesPerDay, categoriesMax });
  await store.settleCurrency();

  // A connection of their own: when the others are all busy, changes are told all the same, or the
  // gateways would ask for everything just then.
  const changesDb = new Database(databaseUrl, {
    program: "catalog-changes",
    connectionsMax: 1,
    metrics,
  });
  onStop(() => changesDb.close());
  const changeStore = new ChangeStore(changesDb);
  const changes = new Changes({ findChanges: (since) => changeStore.findChanges(since), log });
  onStop(() => changes.close());
  const upkeep = new Upkeep({ deleteChanges: (before) => changeStore.deleteChanges(before), log });
  onStop(() => upkeep.stop());

  const passports = new Passports(await openPublicKeys(config.publicKeysFile), log);
  return {
    services: { "piata.catalog.v1.CatalogService": CatalogServiceService },
    passports,
    controllers: [CatalogHandlers],
    providers: [
      { provide: CatalogStore, useValue: store },
      { provide: Changes, useValue: changes },
      { provide: RULES, useValue: { currencyCode, writers } },
    ],
  };
};

export const catalog = defineProgram("catalog", settings, start);

if (import.meta.main) await run(catalog);
