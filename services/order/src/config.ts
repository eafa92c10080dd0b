import {
  commonSettings,
  integer,
  optional,
  postgresUrl,
  secretSetting,
  setting,
  target,
} from "@piata/kit/config";
import { publicKeysFile } from "@piata/kit/public-keys";

export const settings = {
  ...commonSettings("order"),
  publicKeysFile: publicKeysFile(),
  databaseUrl: secretSetting("ORDER_DATABASE_URL", postgresUrl(), "Its PostgreSQL database."),
  cartTarget: target("cart"),
  catalogTarget: target("catalog"),
  paymentTarget: target("payment"),
  leaseMs: setting(
    "ORDER_LEASE_MS",
    optional(integer(1_000, 600_000), 4_000),
    "How long a worker may be silent about an order before another takes it over, in milliseconds.",
  ),
  paymentLimitMs: setting(
    "ORDER_PAYMENT_LIMIT_MS",
    optional(integer(1_000, 86_400_000), 900_000),
    "How long a payment may stay unknown before it is voided and the stock given back.",
  ),
  openMax: setting(
    "ORDER_OPEN_MAX",
    optional(integer(1, 100_000), 5_000),
    "Orders that one instance works on at once; more are refused with RESOURCE_EXHAUSTED.",
  ),
};
