import { choice, commonSettings, integer, optional, postgresUrl, setting } from "@piata/kit/config";
import { isCurrency } from "@piata/kit/money";
import { publicKeysFile } from "@piata/kit/public-keys";
import * as z from "zod";

export const settings = {
  ...commonSettings("catalog"),
  publicKeysFile: publicKeysFile(),
  databaseUrl: setting("CATALOG_DATABASE_URL", postgresUrl(), "Its PostgreSQL database."),
  currencyCode: setting(
    "SHOP_CURRENCY",
    optional(z.string().refine(isCurrency, "must be an ISO 4217 code such as EUR"), "EUR"),
    "The currency of every price. It cannot change once there are products.",
  ),
  writers: setting(
    "CATALOG_WRITERS",
    optional(choice(["anyone", "staff"]), "anyone"),
    "Who may create categories and products: anyone who is signed in, or the shop's staff only.",
  ),
  writesPerDay: setting(
    "CATALOG_WRITES_PER_DAY",
    optional(integer(1, 1_000_000), 1_000),
    "Categories, and likewise products, that one user may create within 24 hours.",
  ),
  // At most 4.4 kB each: the list of all is one message, and has to stay well under 16 MiB.
  categoriesMax: setting(
    "CATALOG_CATEGORIES_MAX",
    optional(integer(1, 3_000), 1_000),
    "Categories of the shop; they are always listed all together.",
  ),
};
