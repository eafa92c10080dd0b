import {
  databaseUrl,
  integer,
  optional,
  postgresUrl,
  type Secret,
  type Setting,
  secretSetting,
  setting,
} from "@piata/kit/config";
import * as z from "zod";
import { SERVICES_WITH_DATABASE, type ServiceWithDatabase } from "./programs.js";

const address = z.string().regex(/^[^\s:/@]+:\d{1,5}$/, "must be HOST:PORT");

/** What the URLs of the databases are made of. */
export const serverSettings = {
  postgres: setting(
    "SETUP_POSTGRES_ADDRESS",
    optional(address, "postgres:5432"),
    "host:port of PostgreSQL, for the URLs of the databases.",
  ),
  mongo: setting(
    "SETUP_MONGO_ADDRESS",
    address.optional(),
    "host:port of MongoDB, for the URL of the carts; without it they are in PostgreSQL.",
  ),
};

/** Where the API server of Kubernetes is. */
export const kubernetesSettings = {
  host: setting(
    "KUBERNETES_SERVICE_HOST",
    z.string(),
    "The API server's host; Kubernetes sets it in every pod.",
  ),
  port: setting(
    "KUBERNETES_SERVICE_PORT",
    optional(integer(1, 65_535), 443),
    "The API server's port; Kubernetes sets it in every pod.",
  ),
  accountDir: setting(
    "SETUP_SERVICE_ACCOUNT_DIR",
    optional(z.string(), "/var/run/secrets/kubernetes.io/serviceaccount"),
    "The folder with the service account's token, ca.crt and namespace.",
  ),
};

/** PostgreSQL, and the databases to make there. */
export const adminSettings = {
  adminUrl: secretSetting(
    "POSTGRES_ADMIN_URL",
    postgresUrl(),
    "PostgreSQL, where the databases are to be made, as a superuser.",
  ),
};

const serviceUrl = databaseUrl("postgres:", "postgresql:", "mongodb:", "mongodb+srv:").optional();

/** The databases to make, and for whom. */
export const databaseSettings = Object.fromEntries(
  SERVICES_WITH_DATABASE.map((service) => [
    service,
    secretSetting(
      `${service.toUpperCase()}_DATABASE_URL`,
      serviceUrl,
      `The database of ${service}, to be made; one that is not in PostgreSQL is left alone.`,
    ),
  ]),
) as Record<ServiceWithDatabase, Setting<Secret | undefined>>;

/** Every setting, for docs/configuration.md. */
export const settings = {
  ...serverSettings,
  ...kubernetesSettings,
  ...adminSettings,
  ...databaseSettings,
};
