// Environments of programs with one fault each.
import { also, INIT, MAIN, type Mutant, mutant, POD, variable } from "./mutant.ts";

export const envMutants: Mutant[] = [
  mutant(
    "a variable that no program knows",
    "programs are told what they can read, under names that they know",
    ["Deployment", "order", ...MAIN, "env"],
    also({ name: "ORDER_LEASE_SECONDS", value: "4" }),
  ),
  mutant(
    "a value that the program refuses",
    "programs are told what they can read, under names that they know",
    ["ConfigMap", "shop", "data", "payment-provider"],
    "stripe",
  ),
  mutant(
    "a required variable that is missing",
    "programs are told what they can read, under names that they know",
    ["Deployment", "access", ...MAIN, "env"],
    variable("ACCESS_SIGNING_KEY_FILE", undefined),
  ),
  mutant(
    "a variable that the setup does not know",
    "the setup program knows its variables",
    ["Job", "setup-secrets-0-1-0", ...MAIN, "env", 1, "name"],
    "MONGO_ADDRESS",
  ),
  mutant("a ConfigMap's key that is not there", "what an environment refers to is there", [
    "ConfigMap",
    "shop",
    "data",
    "currency",
  ]),
  mutant(
    "a Secret's key that is not there",
    "what an environment refers to is there",
    ["Deployment", "payment", ...MAIN, "env"],
    variable("PAYMENT_DATABASE_URL", {
      valueFrom: { secretKeyRef: { name: "database-payment", key: "uri" } },
    }),
  ),
  mutant(
    "a variable twice",
    "what an environment refers to is there",
    ["Deployment", "cart", ...MAIN, "env"],
    also({ name: "CART_PORT", value: "50051" }),
  ),
  mutant(
    "a program that listens to itself only",
    "programs listen where others can reach them, on the ports of their containers",
    ["Deployment", "cart", ...MAIN, "env"],
    variable("CART_HOST", { value: "127.0.0.1" }),
  ),
  mutant(
    "a program on another port than its container's",
    "programs listen where others can reach them, on the ports of their containers",
    ["Deployment", "cart", ...MAIN, "env"],
    variable("CART_PORT", { value: "50052" }),
  ),
  mutant(
    "a call to a Service that is not there",
    "programs call the services that they mean, by names and ports that are there",
    ["Deployment", "gateway", ...MAIN, "env"],
    variable("ORDER_TARGET", { value: "dns:///orders:50051" }),
  ),
  mutant(
    "a call to the port of health",
    "programs call the services that they mean, by names and ports that are there",
    ["Deployment", "order", ...MAIN, "env"],
    variable("PAYMENT_TARGET", { value: "dns:///payment:8080" }),
  ),
  mutant(
    "a discovery that nobody reaches",
    "programs call the services that they mean, by names and ports that are there",
    ["ConfigMap", "common", "data", "DISCOVERY_ADDRESSES"],
    "discovery:8080",
  ),
  mutant(
    "a database that is nowhere",
    "databases are at Services that are there",
    ["Service", "mongo", "metadata", "name"],
    "mongodb",
  ),
  mutant(
    "another's database",
    "a program gets the database of its own, as its owner",
    ["Deployment", "order", ...MAIN, "env"],
    variable("ORDER_DATABASE_URL", {
      valueFrom: { secretKeyRef: { name: "database-catalog", key: "url" } },
    }),
  ),
  mutant(
    "a file outside of its volume",
    "files that programs are told of are in their volumes",
    ["Deployment", "access", ...MAIN, "env"],
    variable("ACCESS_SIGNING_KEY_FILE", { value: "/run/piata/key.pem" }),
  ),
  mutant(
    "a file that its Secret does not have",
    "files that programs are told of are in their volumes",
    ["Deployment", "cart", ...MAIN, "env"],
    variable("PIATA_PUBLIC_KEYS_FILE", { value: "/run/piata/keys/jwks.json" }),
  ),
  mutant(
    "another's certificate",
    "a program shows its own certificate, and all of them show one",
    ["Deployment", "payment", ...POD, "volumes", 0, "secret", "secretName"],
    "tls-order",
  ),
  mutant(
    "a program that speaks without TLS",
    "a program shows its own certificate, and all of them show one",
    ["Deployment", "cart", ...MAIN, "env"],
    variable("CART_TLS_DIR", undefined),
  ),
  mutant(
    "no migrations",
    "migrations run first, where there are some, on the database of the program",
    ["Deployment", "payment", ...POD, "initContainers"],
  ),
  mutant(
    "migrations of another version",
    "migrations run first, where there are some, on the database of the program",
    ["Deployment", "payment", ...INIT, "image"],
    "piata/payment:0.0.9",
  ),
  mutant(
    "a Job that runs something else",
    "the Jobs run what the setup program can",
    ["Job", "setup-databases-0-1-0", ...MAIN, "args", 1],
    "database",
  ),
  mutant(
    "a proxy that is believed and not there",
    "a gateway that believes a proxy is open to that proxy only, and its hosts are the Ingress'",
    ["Deployment", "gateway", ...MAIN, "env"],
    also({ name: "GATEWAY_TRUSTED_PROXIES", value: "10.0.0.0/8" }),
  ),
];
