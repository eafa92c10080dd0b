// Manifests with one fault each, made from the real ones. A check that does not find the fault that it
// is named for checks nothing.
import { type Cluster, type Manifest, NAME } from "./cluster.ts";

type Path = readonly (string | number)[];
type Value = string | number | boolean | object | null | ((before: unknown) => unknown);

/** One fault. `by` is the check that must find it, or one of the schemas. */
export interface Mutant {
  /** What somebody has got wrong. */
  what: string;
  by: string;
  change(cluster: Cluster): void;
}

/** Takes the place of what is there; undefined removes it. */
function put(object: object, path: Path, value: Value | undefined): void {
  const [key, ...rest] = path as [string | number, ...Path];
  const holder = object as Record<string | number, unknown>;
  if (rest.length > 0) {
    const inner = holder[key];
    if (typeof inner !== "object" || inner === null) throw new Error(`there is no ${path}`);
    put(inner, rest as Path, value);
  } else if (value === undefined) {
    if (!(key in holder)) throw new Error(`there is no ${key} to remove`);
    if (Array.isArray(holder)) holder.splice(Number(key), 1);
    else delete holder[key];
  } else {
    holder[key] = typeof value === "function" ? value(holder[key]) : value;
  }
}

const mutant = (
  what: string,
  by: string,
  [kind, name, ...path]: readonly [string, string, ...Path],
  value?: Value,
): Mutant => ({
  what,
  by,
  change: ({ objects }) => {
    const object = objects.find((one) => one.kind === kind && one.metadata.name === name);
    if (!object) throw new Error(`there is no ${kind} ${name}`);
    put(object, path, value);
  },
});

const whole = (what: string, by: string, change: (objects: Manifest[]) => void): Mutant => ({
  what,
  by,
  change: ({ objects }) => change(objects),
});

const remove = (kind: string, name: string) => (objects: Manifest[]) => {
  const at = objects.findIndex((one) => one.kind === kind && one.metadata.name === name);
  if (at === -1) throw new Error(`there is no ${kind} ${name}`);
  objects.splice(at, 1);
};

const POD = ["spec", "template", "spec"] as const;
const MAIN = [...POD, "containers", 0] as const;
const INIT = [...POD, "initContainers", 0] as const;

/** The variable of that name, in the list of a container. */
const variable = (name: string, value: object | undefined) => (before: unknown) => {
  const list = before as { name: string }[];
  const at = list.findIndex((one) => one.name === name);
  if (at === -1) throw new Error(`there is no ${name}`);
  return list.flatMap((one, index) => (index === at ? (value ? [{ name, ...value }] : []) : [one]));
};
const also =
  (...more: unknown[]) =>
  (before: unknown) => [...(before as unknown[]), ...more];

const objects: Mutant[] = [
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

const pods: Mutant[] = [
  mutant(
    "a container that may get more privileges",
    "pods pass the restricted Pod Security Standard",
    ["Deployment", "cart", ...MAIN, "securityContext", "allowPrivilegeEscalation"],
  ),
  mutant(
    "a container that keeps capabilities",
    "pods pass the restricted Pod Security Standard",
    ["Deployment", "access", ...INIT, "securityContext", "capabilities", "drop"],
    ["NET_RAW"],
  ),
  mutant("a pod that may run as root", "pods pass the restricted Pod Security Standard", [
    "StatefulSet",
    "mongo",
    ...POD,
    "securityContext",
    "runAsNonRoot",
  ]),
  mutant("a pod without a seccomp profile", "pods pass the restricted Pod Security Standard", [
    "Job",
    "setup-secrets-0-1-0",
    ...POD,
    "securityContext",
    "seccompProfile",
  ]),
  mutant(
    "a volume of the node's disk",
    "pods pass the restricted Pod Security Standard",
    ["StatefulSet", "mongo", ...POD, "volumes"],
    also({ name: "host", hostPath: { path: "/" } }),
  ),
  mutant(
    "a root file system that can be written",
    "root file systems are read-only",
    ["Deployment", "gateway", ...MAIN, "securityContext", "readOnlyRootFilesystem"],
    false,
  ),
  mutant(
    "another user than the image's",
    "our images run as the user that they were made for",
    ["Deployment", "payment", ...POD, "securityContext", "runAsUser"],
    1_000,
  ),
  mutant(
    "a program with a token for the API server",
    "only the Job that makes Secrets has a token for the API server",
    ["Deployment", "order", ...POD, "automountServiceAccountToken"],
    true,
  ),
  mutant(
    "a ServiceAccount that is not there",
    "only the Job that makes Secrets has a token for the API server",
    ["Deployment", "order", ...POD, "serviceAccountName"],
    "orders",
  ),
  mutant(
    "a Role that may change Secrets",
    "the Role allows to get the shop's Secrets and to create some, and nothing else",
    ["Role", "setup-secrets", "rules", 1, "verbs"],
    ["create", "update"],
  ),
  mutant(
    "a Role that may read all Secrets",
    "the Role allows to get the shop's Secrets and to create some, and nothing else",
    ["Role", "setup-secrets", "rules", 0, "resourceNames"],
  ),
  mutant(
    "a Role that leaves a Secret out",
    "the Role allows to get the shop's Secrets and to create some, and nothing else",
    ["Role", "setup-secrets", "rules", 0, "resourceNames", 5],
  ),
  mutant(
    "variables of Services among ours",
    "Kubernetes puts no variables of Services among ours",
    ["Deployment", "gateway", ...POD, "enableServiceLinks"],
  ),
  mutant(
    "a mount of no volume",
    "volumes are there, mounted once, and refer to what there will be",
    ["Deployment", "cart", ...MAIN, "volumeMounts", 1, "name"],
    "keys",
  ),
  mutant(
    "a Secret that nobody makes",
    "volumes are there, mounted once, and refer to what there will be",
    ["Deployment", "catalog", ...POD, "volumes", 1, "secret", "secretName"],
    "public-key",
  ),
  mutant(
    "a pod that does not wait for its Secret",
    "volumes are there, mounted once, and refer to what there will be",
    ["Deployment", "catalog", ...POD, "volumes", 0, "secret", "optional"],
    true,
  ),
  mutant(
    "0440 as YAML 1.2 reads it",
    "secret files are for the program's group only",
    ["Deployment", "access", ...POD, "volumes", 2, "secret", "defaultMode"],
    440,
  ),
  mutant(
    "a request above its limit",
    "every container asks for CPU and memory, and for no more than its limits",
    ["Deployment", "payment", ...MAIN, "resources", "requests", "memory"],
    "1Gi",
  ),
  mutant(
    "megabits of memory, by a small m",
    "every container asks for CPU and memory, and for no more than its limits",
    ["Deployment", "payment", ...MAIN, "resources", "limits", "memory"],
    "384m",
  ),
  mutant(
    "a container without a limit of memory",
    "every container asks for CPU and memory, and for no more than its limits",
    ["Deployment", "order", ...INIT, "resources", "limits"],
  ),
  mutant(
    "a probe of a port that is not there",
    "three probes ask a port of the container for a path that is answered",
    ["Deployment", "order", ...MAIN, "readinessProbe", "httpGet", "port"],
    "health",
  ),
  mutant(
    "a probe of the API instead of the health",
    "three probes ask a port of the container for a path that is answered",
    ["Deployment", "gateway", ...MAIN, "livenessProbe", "httpGet", "port"],
    "graphql",
  ),
  mutant(
    "a probe of a path that nobody answers",
    "three probes ask a port of the container for a path that is answered",
    ["Deployment", "cart", ...MAIN, "startupProbe", "httpGet", "path"],
    "/health",
  ),
  mutant(
    "no startup probe",
    "three probes ask a port of the container for a path that is answered",
    ["Deployment", "cart", ...MAIN, "startupProbe"],
  ),
  mutant(
    "a liveness probe that ends who drains",
    "probes leave time: to start, to be slow once, to drain",
    ["Deployment", "cart", ...MAIN, "livenessProbe", "periodSeconds"],
    2,
  ),
  mutant(
    "a drain that is shorter than DNS is slow",
    "pods that end are forgotten by their callers first, and may finish",
    ["Deployment", "catalog", ...MAIN, "env"],
    variable("CATALOG_DRAIN_MS", { value: "300" }),
  ),
  mutant(
    "a grace that is shorter than the stop",
    "pods that end are forgotten by their callers first, and may finish",
    ["Deployment", "order", ...POD, "terminationGracePeriodSeconds"],
    15,
  ),
  mutant(
    "no pause before the stop",
    "pods that end are forgotten by their callers first, and may finish",
    ["Deployment", "gateway", ...MAIN, "lifecycle"],
  ),
  mutant(
    "a database that is killed while it stops",
    "PostgreSQL has time to stop, and its folder stays its own",
    ["StatefulSet", "postgres", ...POD, "terminationGracePeriodSeconds"],
    10,
  ),
  mutant(
    "a new version with a gap",
    "a new version takes over without a gap",
    ["Deployment", "gateway", "spec", "strategy", "rollingUpdate", "maxUnavailable"],
    1,
  ),
  mutant(
    "an autoscaler of a Deployment that is not there",
    "HorizontalPodAutoscalers scale Deployments that leave it to them, and have CPU to go by",
    ["HorizontalPodAutoscaler", "order", "spec", "scaleTargetRef", "name"],
    "orders",
  ),
  mutant(
    "a Deployment that undoes its autoscaler at each apply",
    "HorizontalPodAutoscalers scale Deployments that leave it to them, and have CPU to go by",
    ["Deployment", "order", "spec", "replicas"],
    1,
  ),
  mutant(
    "a disruption budget that blocks the drain of a node",
    "disruption budgets are for one workload each, and let its only pod be moved",
    ["PodDisruptionBudget", "discovery", "spec"],
    { minAvailable: 1, selector: { matchLabels: { [NAME]: "discovery" } } },
  ),
  mutant(
    "a disruption budget of nobody",
    "disruption budgets are for one workload each, and let its only pod be moved",
    ["PodDisruptionBudget", "cart", "spec", "selector", "matchLabels", NAME],
    "carts",
  ),
  mutant(
    "a spread that waits for a second node",
    "instances are spread over nodes, where there are some",
    ["Deployment", "access", ...POD, "topologySpreadConstraints", 0, "whenUnsatisfiable"],
    "DoNotSchedule",
  ),
  mutant(
    "a spread of others",
    "instances are spread over nodes, where there are some",
    [
      "Deployment",
      "access",
      ...POD,
      "topologySpreadConstraints",
      0,
      "labelSelector",
      "matchLabels",
      NAME,
    ],
    "cart",
  ),
  mutant(
    "more instances than PostgreSQL has connections",
    "PostgreSQL takes the connections of all instances that there may be",
    ["HorizontalPodAutoscaler", "order", "spec", "maxReplicas"],
    40,
  ),
];

const environments: Mutant[] = [
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

const RULE = ["spec", "ingress", 0] as const;
const network: Mutant[] = [
  whole(
    "no policy that refuses the rest",
    "what nothing is said about is refused",
    remove("NetworkPolicy", "nothing"),
  ),
  mutant(
    "a database that is open to all",
    "pods may call nobody else, and nobody else may call them",
    ["NetworkPolicy", "mongo", ...RULE, "from"],
    [{}],
  ),
  mutant(
    "a program that may call everybody",
    "pods may call nobody else, and nobody else may call them",
    ["NetworkPolicy", "gateway", "spec", "egress", 0, "to"],
  ),
  mutant("a caller that is not let in", "pods may call whom they need", [
    "NetworkPolicy",
    "cart",
    ...RULE,
    "from",
    1,
  ]),
  mutant("a caller that may not send", "pods may call whom they need", [
    "NetworkPolicy",
    "order",
    "spec",
    "egress",
    0,
    "to",
    2,
  ]),
  mutant(
    "a policy of another port",
    "pods may call whom they need",
    ["NetworkPolicy", "catalog", ...RULE, "ports", 0, "port"],
    "http",
  ),
  mutant(
    "a policy of the wrong direction",
    "pods may call whom they need",
    ["NetworkPolicy", "payment", "spec", "policyTypes"],
    ["Egress"],
  ),
  mutant(
    "a policy about pods that do not exist",
    "policies are about pods that there are, and ports that they have",
    ["NetworkPolicy", "postgres", "spec", "podSelector", "matchLabels", NAME],
    "postgresql",
  ),
  mutant("names by UDP only", "DNS answers by UDP and by TCP", [
    "NetworkPolicy",
    "dns",
    "spec",
    "egress",
    0,
    "ports",
    1,
  ]),
  whole(
    "pods that cannot look names up",
    "pods may call whom they need",
    remove("NetworkPolicy", "dns"),
  ),
  mutant(
    "pods of no component",
    "every program, database and Job has its component",
    [
      "StatefulSet",
      "mongo",
      "spec",
      "template",
      "metadata",
      "labels",
      "app.kubernetes.io/component",
    ],
    "store",
  ),
];

export const MUTANTS: readonly Mutant[] = [...objects, ...pods, ...environments, ...network];

/** Found by the compiler, by the models, or by both. */
export const SCHEMA_MUTANTS: readonly Mutant[] = [
  mutant("a field that does not exist", "types", ["Deployment", "cart", "spec", "replica"], 2),
  mutant("a field in the wrong place", "types", ["Deployment", "cart", ...MAIN, "fsGroup"], 1),
  mutant("a number for a text", "both", ["Deployment", "cart", ...MAIN, "env", 0, "value"], 1),
  mutant("a text for a number", "both", ["Deployment", "cart", "spec", "minReadySeconds"], "5"),
  mutant("no name of a container", "both", ["Deployment", "cart", ...MAIN, "name"]),
  mutant("a kind that does not exist", "models", ["Service", "cart", "apiVersion"], "v2"),
  mutant("no selector", "both", ["Deployment", "cart", "spec", "selector"]),
  mutant("a list for an object", "both", ["Service", "cart", "spec", "selector"], ["cart"]),
];

/** Texts that mean something else to other readers; each is one change of a real file. */
export const TEXT_MUTANTS: readonly { what: string; from: string | RegExp; to: string }[] = [
  { what: "a key twice", from: "  type: NodePort\n", to: "  type: NodePort\n  type: NodePort\n" },
  { what: "an anchor", from: "      targetPort: graphql", to: "      targetPort: &port graphql" },
  { what: "a tab", from: "  type: NodePort\n", to: "  type:\tNodePort\n" },
  { what: "on, which is true to YAML 1.1", from: 'value: "0"', to: "value: on" },
  { what: "a number with a leading zero", from: "defaultMode: 288", to: "defaultMode: 0440" },
  { what: "a number in base 60", from: 'value: "30000"', to: "value: 30:00" },
  { what: "a tag", from: "  type: NodePort\n", to: "  type: !port NodePort\n" },
  { what: "wrong indentation", from: "  type: NodePort\n", to: "   type: NodePort\n" },
];
