/** What the tests share: a database of their own, the stock as it stands, and the real program. */
import {
  CatalogServiceService,
  type Category,
  type CreateProductRequest,
  type Product,
} from "@piata/contracts/catalog";
import { Secret } from "@piata/kit/config";
import { ownContext } from "@piata/kit/context";
import { migrate } from "@piata/kit/migrate";
import { Database, statement } from "@piata/kit/pg";
import { openClient } from "@piata/kit/trial";
import { openServiceDatabase } from "@piata/testkit/database";
import { as } from "@piata/testkit/identity";
import { startService } from "@piata/testkit/service";

const MIGRATIONS = new URL("../migrations/", import.meta.url);
const DEADLINE_MS = 20_000;

/** Where the units of a product are. */
export interface Units {
  available: number;
  held: number;
  sold: number;
}

const UNITS = statement(
  "test_units",
  `select available, held, sold from stock where product_id = $1`,
);
const AGE_WRITES = statement(
  "test_age_writes",
  `with categories as (
     update categories set created_at = now() - interval '24 hours' where created_by = $1
   )
   update products set created_at = now() - interval '24 hours' where seller_id = $1`,
);

export type CatalogDatabase = Awaited<ReturnType<typeof openDatabase>>;

export async function openDatabase() {
  const database = await openServiceDatabase({
    template: "catalog",
    migrations: MIGRATIONS,
    prepare: (url) => migrate(new Secret(url), MIGRATIONS),
    open: (url) => new Database(new Secret(url), { program: "catalog-test" }),
  });
  const { db } = database;
  return {
    ...database,
    units: async (productId: number) => (await db.rows<Units>(UNITS, [productId]))[0] as Units,
    /** Has what a user wrote be a day old. */
    ageWrites: (userId: number) => db.rows(AGE_WRITES, [userId]),
  };
}

export const options = () => ownContext(DEADLINE_MS);

export type RunningCatalog = Awaited<ReturnType<typeof startCatalog>>;

export async function startCatalog(url: string, env: Record<string, string> = {}) {
  const service = await startService("catalog", { CATALOG_DATABASE_URL: url, ...env });
  const { rpc, close } = openClient(
    { service: "catalog", target: service.address },
    CatalogServiceService,
    { batchReserve: "order", batchSell: "order", batchRelease: "order" },
  );
  return {
    rpc,
    kill: service.kill,
    createCategory: async (name: string, userId = 1) => {
      const request = { ...as(userId), name, description: "" };
      return (await rpc.createCategory(request, options())).category as Category;
    },
    createProduct: async (other: Partial<CreateProductRequest> = {}) => {
      const request = { ...product(), ...other };
      return (await rpc.createProduct(request, options())).product as Product;
    },
    async stop() {
      close();
      return service.stop();
    },
  };
}

/** A product that is well-formed. */
export const product = (): CreateProductRequest => ({
  ...as(1),
  name: "Lamp",
  price: 19.99,
  imageUrl: "/images/lamp.svg",
  unitsAvailable: 10,
  categoryIds: [],
});
