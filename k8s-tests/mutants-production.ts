// The overlay, as it is rendered, with one fault each.
import { MAIN, type Mutant, mutant, remove, variable, whole } from "./mutant.ts";

const RULE = ["spec", "ingress", 0] as const;

export const PRODUCTION_MUTANTS: readonly Mutant[] = [
  mutant(
    "an Ingress to a port that is not there",
    "an Ingress leads to a port of a Service, by names that its certificate has",
    ["Ingress", "gateway", "spec", "rules", 0, "http", "paths", 0, "backend", "service", "port"],
    { name: "http" },
  ),
  mutant(
    "an Ingress without a certificate for its host",
    "an Ingress leads to a port of a Service, by names that its certificate has",
    ["Ingress", "gateway", "spec", "tls", 0, "hosts"],
    ["www.example.com"],
  ),
  mutant(
    "a pooler of a cluster that is not there",
    "what a cluster of databases is named in others is there",
    ["Pooler", "order-db-pooler", "spec", "cluster", "name"],
    "orders-db",
  ),
  mutant(
    "a pooler that refuses what programs ask for",
    "what a cluster of databases is named in others is there",
    ["Pooler", "order-db-pooler", "spec", "pgbouncer", "parameters", "ignore_startup_parameters"],
  ),
  whole(
    "a database without backups",
    "what a cluster of databases is named in others is there",
    remove("ScheduledBackup", "payment-db"),
  ),
  mutant(
    "a collector that nobody reaches",
    "the collector of traces is a Service",
    ["ConfigMap", "common", "data", "OTEL_EXPORTER_OTLP_ENDPOINT"],
    "http://otel-collector:4317",
  ),
  mutant(
    "a host that the gateway refuses",
    "a gateway that believes a proxy is open to that proxy only, and its hosts are the Ingress'",
    ["Deployment", "gateway", ...MAIN, "env"],
    variable("GATEWAY_HOSTS", { value: "example.com" }),
  ),
  mutant(
    "a password that is used before it is set",
    "what an environment refers to is there",
    ["Deployment", "order", ...MAIN, "env"],
    (before: unknown) => (before as unknown[]).toReversed(),
  ),
  mutant(
    "a database of another name than its service's",
    "a program gets the database of its own, as its owner",
    ["Cluster", "access-db", "spec", "bootstrap", "initdb", "database"],
    "access",
  ),
  mutant(
    "a gateway that is open around the Ingress",
    "pods may call nobody else, and nobody else may call them",
    ["NetworkPolicy", "gateway", ...RULE, "from"],
  ),
  mutant("an operator that cannot ask its database", "pods may call whom they need", [
    "NetworkPolicy",
    "catalog-db",
    "spec",
    "ingress",
    1,
  ]),
];
