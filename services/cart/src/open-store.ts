import type { Secret } from "@piata/kit/config";
import type { Metrics } from "@piata/kit/metrics";
import { migrate } from "@piata/kit/migrate";
import type { CartStore } from "./store.js";

/** Opens the store that the URL's scheme asks for; the driver of the other one is not loaded. */
export async function openStore(url: Secret, metrics?: Metrics): Promise<CartStore> {
  if (url.reveal().startsWith("mongodb")) {
    const { MongoCartStore } = await import("./store-mongo.js");
    return MongoCartStore.open(url);
  }
  await migrate(url, new URL("../migrations/", import.meta.url));
  const { PostgresCartStore } = await import("./store-postgres.js");
  return new PostgresCartStore(url, metrics);
}
