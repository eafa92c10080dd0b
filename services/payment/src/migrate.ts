// node dist/migrate.js: brings the database to the newest schema, and ends.
import { runMigrations } from "@piata/kit/run-migrations";
import { settings } from "./config.js";

await runMigrations("payment", settings.databaseUrl, new URL("../migrations/", import.meta.url));
