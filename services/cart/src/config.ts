import { commonSettings, Secret, secretSetting } from "@piata/kit/config";
import { publicKeysFile } from "@piata/kit/public-keys";
import * as z from "zod";

// Not the kit's databaseUrl: a MongoDB URL may list several host:port, which no URL parser takes.
const storeUrl = z
  .string()
  .regex(
    /^(mongodb|mongodb\+srv|postgres|postgresql):\/\/\S+$/,
    "must be a URL that starts with mongodb://, mongodb+srv:// or postgres://",
  )
  .transform((value) => new Secret(value));

export const settings = {
  ...commonSettings("cart"),
  publicKeysFile: publicKeysFile(),
  databaseUrl: secretSetting(
    "CART_DATABASE_URL",
    storeUrl,
    "Its database: MongoDB (mongodb://, mongodb+srv://) or PostgreSQL (postgres://).",
  ),
};
