// The shop with CATALOG_WRITERS=staff, beside one without.
import { join } from "node:path";
import { startService } from "@piata/testkit/service";
import type { Shop } from "@piata/testkit/shop";

export interface StaffShop {
  /** Its GraphQL API. */
  url: string;
  stop(): Promise<void>;
}

/** A catalogue that only staff fills and a gateway before it; data and all else are the shop's. */
export async function openStaffShop(shop: Shop): Promise<StaffShop> {
  const secrets = join(shop.dataDir, "secrets");
  const common = { PIATA_PUBLIC_KEYS_FILE: join(secrets, "public-keys.json") };
  const addressOf = async (name: string) => (await shop.process(name)).address;
  const catalog = await startService("catalog", {
    ...common,
    CATALOG_TLS_DIR: join(secrets, "tls/catalog"),
    CATALOG_DATABASE_URL: await shop.databaseUrl("catalog"),
    CATALOG_WRITERS: "staff",
    CATALOG_PORT: "0",
    CATALOG_HTTP_PORT: "0",
  });
  const gateway = await startService("gateway", {
    ...common,
    GATEWAY_TLS_DIR: join(secrets, "tls/gateway"),
    GATEWAY_PORT: "0",
    GATEWAY_HTTP_PORT: "0",
    GATEWAY_IDLE_MS: "0",
    ACCESS_TARGET: await addressOf("access"),
    CATALOG_TARGET: catalog.address,
    CART_TARGET: await addressOf("cart"),
    ORDER_TARGET: await addressOf("order"),
  });
  return {
    url: `http://${gateway.address}/graphql`,
    async stop() {
      await Promise.all([gateway, catalog].map((service) => service.stop()));
    },
  };
}
