// Who may call whom: what the policies let through is held, call by call, against what the programs
// need, and so is neither less nor more.
import type { Check } from "./checks-objects.ts";
import { type Cluster, COMPONENT, NAME } from "./cluster.ts";
import { type Place, receives, sends } from "./network.ts";
import type { Facts } from "./programs.ts";

const GRPC = 50_051;
const HEALTH = 8_080;
const GRAPHQL = 30_000;
const OTLP = 4_318;
const POSTGRES = 5_432;
const STATUS = 8_000;
const MONGO = 27_017;
/** The API server's, by cluster, and HTTPS. */
const API = [443, 6_443, 8_443];
const NAMESPACES = ["kube-system", "monitoring", "ingress-nginx", "cnpg-system", "default"];
const ANY = new Map(
  [53, 80, OTLP, GRPC, GRAPHQL, ...API].map((port) => [String(port), port] as const),
);

const pod = (name: string, labels: Place["labels"], ports: [string, number][]): Place => ({
  name,
  kind: "pod",
  labels,
  ports: new Map(ports),
});

/** Every end that a call may have; those of operators too, as they label them. */
function placesOf(cluster: Cluster): Place[] {
  return [
    ...cluster.workloads.map(({ labels, containers }) =>
      pod(
        labels[NAME] ?? "",
        labels,
        containers.flatMap(({ ports = [] }) =>
          ports.map((port) => [port.name ?? "", port.containerPort] as [string, number]),
        ),
      ),
    ),
    ...cluster.of("Cluster").map(({ metadata: { name } }) =>
      pod(name, { "cnpg.io/cluster": name }, [
        ["postgresql", POSTGRES],
        ["status", STATUS],
      ]),
    ),
    ...cluster
      .of("Pooler")
      .map(({ metadata: { name } }) =>
        pod(name, { "cnpg.io/poolerName": name }, [["pgbouncer", POSTGRES]]),
      ),
    ...cluster
      .of("MongoDBCommunity")
      .map(({ metadata: { name } }) => pod(name, { app: `${name}-svc` }, [["mongodb", MONGO]])),
    ...NAMESPACES.map((name): Place => ({ name, kind: "namespace", labels: {}, ports: ANY })),
    { name: "dns", kind: "dns", labels: {}, ports: new Map([["dns", 53]]) },
    { name: "world", kind: "world", labels: {}, ports: ANY },
  ];
}

type Rule = (cluster: Cluster, from: Place, to: Place, port: number) => boolean;

/** The calls that a rule is for, of pods and to pods. */
function callsBy(cluster: Cluster, rule: Rule): Set<string> {
  const places = placesOf(cluster);
  const ends = places.filter(({ kind }) => kind === "pod");
  const calls = new Set<string>();
  for (const from of places) {
    for (const to of from.kind === "pod" ? places : ends) {
      for (const port of to.ports.values()) {
        if (rule(cluster, from, to, port)) calls.add(`${from.name} → ${to.name}:${port}`);
      }
    }
  }
  return calls;
}

const passes: Rule = (...call) => sends(...call) && receives(...call);

/** Also what one of two pods alone would allow: each of the two is to keep the other out. */
const mayPass: Rule = (cluster, from, to, port) => {
  if (from.kind !== "pod" || to.kind !== "pod") return passes(cluster, from, to, port);
  // Its door is open to all, so that only the senders are held back.
  if (port === GRAPHQL) return sends(cluster, from, to, port);
  return sends(cluster, from, to, port) || receives(cluster, from, to, port);
};

function needed(cluster: Cluster, { programs }: Facts): Set<string> {
  const calls = new Set<string>();
  const call = (from: string, to: string, ...ports: number[]) => {
    for (const port of ports) calls.add(`${from} → ${to}:${port}`);
  };
  const isThere = (name: string) => cluster.workloads.some(({ labels }) => labels[NAME] === name);
  for (const { labels } of cluster.workloads) {
    for (const dns of ["dns", "kube-system"]) call(labels[NAME] ?? "", dns, 53);
  }
  for (const { name, calls: services } of [...programs].map(([name, one]) => ({ name, ...one }))) {
    for (const service of services) call(name, service, GRPC);
    call(name, "discovery", GRPC);
    call("discovery", name, name === "gateway" ? HEALTH : GRPC);
    call("monitoring", name, HEALTH);
    if (isThere("otel-collector")) call(name, "otel-collector", OTLP);
    if (isThere("postgres") && (programs.get(name)?.connections ?? 0) > 0 && name !== "cart") {
      call(name, "postgres", POSTGRES);
    }
  }
  if (isThere("mongo")) call("cart", "mongo", MONGO);
  if (isThere("setup-databases")) call("setup-databases", "postgres", POSTGRES);
  if (isThere("otel-collector")) call("otel-collector", "monitoring", OTLP);
  for (const to of ["world", ...NAMESPACES]) call("setup-secrets", to, ...API);
  const isBehind = cluster.of("Ingress").length > 0;
  if (isBehind) call("ingress-nginx", "gateway", GRAPHQL);
  else {
    for (const place of placesOf(cluster)) if (mayCall(place)) call(place.name, "gateway", GRAPHQL);
  }
  needOfOperators(cluster, call);
  return calls;
}

// The gateway is open to all; of our pods none is allowed to send there.
const mayCall = ({ kind }: Place): boolean => kind !== "pod";

function needOfOperators(
  cluster: Cluster,
  call: (from: string, to: string, ...ports: number[]) => void,
): void {
  const toApi = (name: string) => {
    for (const to of ["world", ...NAMESPACES]) call(name, to, ...API);
    for (const dns of ["dns", "kube-system"]) call(name, dns, 53);
  };
  for (const { metadata, spec } of cluster.of("Cluster")) {
    const name = metadata.name;
    call(spec.bootstrap.initdb.owner, name, POSTGRES);
    call(name, name, POSTGRES, STATUS);
    call("cnpg-system", name, STATUS);
    toApi(name);
  }
  for (const { metadata, spec } of cluster.of("Pooler")) {
    const database = cluster.find("Cluster", spec.cluster.name);
    call(database?.spec.bootstrap.initdb.owner ?? "", metadata.name, POSTGRES);
    call(metadata.name, spec.cluster.name, POSTGRES);
    toApi(metadata.name);
  }
  for (const { metadata } of cluster.of("MongoDBCommunity")) {
    call("cart", metadata.name, MONGO);
    call(metadata.name, metadata.name, MONGO);
    toApi(metadata.name);
  }
}

export const networkChecks: Record<string, Check> = {
  "what nothing is said about is refused": (cluster) => {
    const ofAll = cluster
      .of("NetworkPolicy")
      .filter(({ spec }) => JSON.stringify(spec?.podSelector) === "{}");
    const types = ofAll
      .filter(({ spec }) => !spec?.ingress && !spec?.egress)
      .flatMap(({ spec }) => spec?.policyTypes ?? []);
    return types.includes("Ingress") && types.includes("Egress") ? [] : ["no such policy"];
  },

  "pods may call whom they need": (cluster, facts) => {
    const passed = callsBy(cluster, passes);
    return [...needed(cluster, facts)].filter((call) => !passed.has(call));
  },

  "pods may call nobody else, and nobody else may call them": (cluster, facts) => {
    const wanted = needed(cluster, facts);
    return [...callsBy(cluster, mayPass)].filter((call) => !wanted.has(call));
  },

  "policies are about pods that there are, and ports that they have": (cluster) => {
    const places = placesOf(cluster);
    const pods = places.filter(({ kind }) => kind === "pod");
    const names = new Set(pods.flatMap(({ labels }) => Object.values(labels)));
    return cluster.of("NetworkPolicy").flatMap(({ metadata: { name }, spec }) => {
      const peers = [
        ...(spec?.ingress ?? []).flatMap((rule) => rule.from ?? []),
        ...(spec?.egress ?? []).flatMap((rule) => rule.to ?? []),
      ];
      const selectors = [spec?.podSelector, ...peers.map((peer) => peer.podSelector)];
      const values = selectors.flatMap((selector) => [
        ...Object.values(selector?.matchLabels ?? {}),
        ...(selector?.matchExpressions ?? []).flatMap((one) => one.values ?? []),
      ]);
      return values.filter((value) => !names.has(value)).map((value) => `${name}: ${value}`);
    });
  },

  "DNS answers by UDP and by TCP": (cluster) => {
    const rules = cluster.of("NetworkPolicy").flatMap(({ spec }) => spec?.egress ?? []);
    const ports = rules.flatMap((rule) => rule.ports ?? []).filter(({ port }) => port === 53);
    return ["UDP", "TCP"].filter((one) => !ports.some(({ protocol }) => protocol === one));
  },

  "every program, database and Job has its component": (cluster) => {
    const known = ["program", "database", "setup", "telemetry"];
    return cluster.workloads
      .filter(({ labels }) => !known.includes(labels[COMPONENT] ?? ""))
      .map(({ name }) => name);
  },
};
