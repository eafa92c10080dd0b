// Objects with one fault each.
import { type Manifest, NAME } from "./cluster.ts";
import { MAIN, type Mutant, mutant, remove, whole } from "./mutant.ts";

export const objectMutants: Mutant[] = [
  mutant(
    "a Service that selects nobody",
    "a Service selects the pods of one workload, and its ports are theirs",
    ["Service", "cart", "spec", "selector", NAME],
    "carts",
  ),
  mutant(
    "a policy that lets in another than its caller",
    "pods may call nobody else, and nobody else may call them",
    [
      "NetworkPolicy",
      "payment",
      "spec",
      "ingress",
      0,
      "from",
      0,
      "podSelector",
      "matchLabels",
      NAME,
    ],
    "gateway",
  ),
  mutant(
    "a target port that no container has",
    "a Service selects the pods of one workload, and its ports are theirs",
    ["Service", "order", "spec", "ports", 0, "targetPort"],
    "rpc",
  ),
  mutant(
    "a Service's port that is not its container's",
    "a Service selects the pods of one workload, and its ports are theirs",
    ["Service", "order", "spec", "ports", 0, "port"],
    50_052,
  ),
  mutant(
    "a gRPC Service with one address",
    "programs that are found by DNS have headless Services, of ready pods only",
    ["Service", "catalog", "spec", "clusterIP"],
  ),
  mutant(
    "a Service that names pods which start or end",
    "programs that are found by DNS have headless Services, of ready pods only",
    ["Service", "catalog", "spec", "publishNotReadyAddresses"],
    true,
  ),
  whole(
    "a Service that was forgotten",
    "every program has a Service",
    remove("Service", "payment"),
  ),
  mutant(
    "a nodePort out of range",
    "the gateway is the one NodePort, at 30000, or behind an Ingress",
    ["Service", "gateway", "spec", "ports", 0, "nodePort"],
    8_080,
  ),
  mutant(
    "a second program open to the outside",
    "the gateway is the one NodePort, at 30000, or behind an Ingress",
    ["Service", "cart", "spec", "type"],
    "NodePort",
  ),
  mutant(
    "labels that the selector does not match",
    "a workload selects its own pods, which have its name",
    ["Deployment", "catalog", "spec", "template", "metadata", "labels", NAME],
    "catalogue",
  ),
  whole("an object twice", "each object is there once", (all) => {
    all.push(structuredClone(all.at(-1) as Manifest));
  }),
  mutant(
    "an object outside of the namespace",
    "everything is in the namespace, which is made first and takes restricted pods only",
    ["ConfigMap", "shop", "metadata", "namespace"],
  ),
  mutant(
    "a namespace that takes every pod",
    "everything is in the namespace, which is made first and takes restricted pods only",
    ["Namespace", "piata", "metadata", "labels", "pod-security.kubernetes.io/enforce"],
    "baseline",
  ),
  whole(
    "the namespace made last",
    "everything is in the namespace, which is made first and takes restricted pods only",
    (all) => all.push(all.shift() as Manifest),
  ),
  mutant("an object without the shop's label", "everything is labelled as a part of the shop", [
    "Service",
    "access",
    "metadata",
    "labels",
    "app.kubernetes.io/part-of",
  ]),
  mutant(
    "a StatefulSet of a Service that is not there",
    "a StatefulSet names its headless Service, and mounts the volumes that it claims",
    ["StatefulSet", "postgres", "spec", "serviceName"],
    "postgresql",
  ),
  mutant(
    "PostgreSQL 18's volume where 17 had it",
    "databases keep their data where their images write it",
    ["StatefulSet", "postgres", ...MAIN, "volumeMounts", 0, "mountPath"],
    "/var/lib/postgresql/data",
  ),
  mutant(
    "an image that nobody builds",
    "images are those that we build, at this version, or named others",
    ["Deployment", "order", ...MAIN, "image"],
    "piata/orders:0.1.0",
  ),
  mutant(
    "an image of no certain version",
    "images are those that we build, at this version, or named others",
    ["StatefulSet", "postgres", ...MAIN, "image"],
    "postgres:latest",
  ),
  mutant(
    "another version in the configuration than in the images",
    "the version that programs show is that of their images",
    ["ConfigMap", "common", "data", "PIATA_VERSION"],
    "0.0.9",
  ),
  mutant(
    "a Job without a version, which cannot be applied again",
    "a Job has its version in its name, ends, and is removed",
    ["Job", "setup-secrets-0-1-0", "metadata", "name"],
    "setup-secrets",
  ),
  mutant("a Job that is never removed", "a Job has its version in its name, ends, and is removed", [
    "Job",
    "setup-databases-0-1-0",
    "spec",
    "ttlSecondsAfterFinished",
  ]),
  mutant(
    "a number in a ConfigMap",
    "ConfigMaps hold texts",
    ["ConfigMap", "common", "data", "LOG_LEVEL"],
    5,
  ),
];
