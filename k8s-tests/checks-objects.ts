// Checks of what objects say about each other: names, labels, selectors, references.
import type { Cluster } from "./cluster.ts";
import { COMPONENT, matches, NAME } from "./cluster.ts";
import type { Facts } from "./programs.ts";
import { providedSecrets, providedServices } from "./provided.ts";

export type Check = (cluster: Cluster, facts: Facts) => string[];

const NAMESPACE = "piata";
const NODE_PORTS = { min: 30_000, max: 32_767 };
/** Others' images, with the reason why they are believed: they are what their projects publish. */
const OTHERS_IMAGES = [
  /^postgres:18$/,
  /^mongo:8$/,
  /^otel\/opentelemetry-collector-contrib:\d+\.\d+\.\d+$/,
];

const only = (...faults: (string | false | undefined)[]): string[] =>
  faults.filter((fault) => typeof fault === "string");

export const objectChecks: Record<string, Check> = {
  "each object is there once": ({ objects }) => {
    const names = objects.map(({ kind, metadata: { name } }) => `${kind} ${name}`);
    return names.filter((name, at) => names.indexOf(name) !== at);
  },

  "everything is in the namespace, which is made first and takes restricted pods only": (
    cluster,
  ) => {
    const [first, ...rest] = cluster.objects;
    const labels = first?.metadata.labels ?? {};
    return [
      ...only(
        (first?.kind !== "Namespace" || first.metadata.name !== NAMESPACE) && "not made first",
        labels["pod-security.kubernetes.io/enforce"] !== "restricted" && "not restricted",
      ),
      ...rest
        .filter(({ metadata }) => metadata.namespace !== NAMESPACE)
        .map(({ kind, metadata }) => `${kind} ${metadata.name} is in no namespace or another`),
    ];
  },

  "everything is labelled as a part of the shop": ({ objects }) =>
    objects
      .filter(({ kind }) => kind !== "NetworkPolicy")
      .filter(({ metadata }) => metadata.labels?.["app.kubernetes.io/part-of"] !== "piata")
      .map(({ kind, metadata }) => `${kind} ${metadata.name}`),

  "a workload selects its own pods, which have its name": (cluster) =>
    cluster.workloads.flatMap(({ kind, name, labels, selector }) => {
      const isNamed = kind === "Job" ? name.startsWith(`${labels[NAME]}-`) : labels[NAME] === name;
      const others = cluster.selectedBy(selector).filter((other) => other.name !== name);
      return only(
        !isNamed && `${name}: its pods are named ${labels[NAME]}`,
        kind !== "Job" && !matches(selector, labels) && `${name} does not select its own pods`,
        others.length > 0 && `${name} selects the pods of ${others[0]?.name}`,
        labels[COMPONENT] === undefined && `${name}: its pods have no component`,
      );
    }),

  "a Service selects the pods of one workload, and its ports are theirs": (cluster) =>
    cluster.of("Service").flatMap(({ metadata: { name }, spec }) => {
      const chosen = cluster.selectedBy({ matchLabels: spec?.selector ?? {} });
      if (chosen.length !== 1) return [`${name} selects ${chosen.length} workloads`];
      const ports = chosen[0]?.containers.flatMap((container) => container.ports ?? []) ?? [];
      return (spec?.ports ?? []).flatMap(({ port, targetPort }) => {
        const target = ports.find(
          (one) => one.name === targetPort || one.containerPort === targetPort,
        );
        return only(
          !target && `${name}: no container has the port ${targetPort}`,
          target && target.containerPort !== port && `${name}: ${port} is not its container's port`,
        );
      });
    }),

  "programs that are found by DNS have headless Services, of ready pods only": (cluster) =>
    cluster.of("Service").flatMap(({ metadata: { name }, spec }) => {
      const isGrpc = spec?.ports?.some((port) => port.name === "grpc") === true;
      return only(
        isGrpc && spec?.clusterIP !== "None" && `${name} is not headless`,
        spec?.publishNotReadyAddresses === true && `${name} names pods that are not ready`,
      );
    }),

  "every program has a Service": (cluster) =>
    cluster.programs
      .filter(({ name }) => !cluster.find("Service", name))
      .map(({ name }) => `${name} has none`),

  "the gateway is the one NodePort, at 30000, or behind an Ingress": (cluster) => {
    const open = cluster.of("Service").filter(({ spec }) => spec?.type !== undefined);
    return open.flatMap(({ metadata: { name }, spec }) => {
      const ports = spec?.ports ?? [];
      if (spec?.type === "ClusterIP" && cluster.of("Ingress").length > 0) {
        return only(ports.some((port) => port.nodePort !== undefined) && `${name} has a nodePort`);
      }
      const outside = ports.filter(
        ({ nodePort = 0 }) => nodePort < NODE_PORTS.min || nodePort > NODE_PORTS.max,
      );
      return only(
        spec?.type !== "NodePort" && `${name} is of the type ${spec?.type}`,
        name !== "gateway" && `${name} is open to the outside`,
        outside.length > 0 && `${name}: the nodePort is out of range`,
        ports[0]?.nodePort !== 30_000 && `${name}: not at localhost:30000`,
      );
    });
  },

  "an Ingress leads to a port of a Service, by names that its certificate has": (cluster) =>
    cluster.of("Ingress").flatMap(({ metadata: { name }, spec }) => {
      const certified = (spec?.tls ?? []).flatMap(({ hosts = [] }) => hosts);
      return (spec?.rules ?? []).flatMap(({ host = "", http }) => [
        ...only(!certified.includes(host) && `${name}: no TLS for ${host}`),
        ...(http?.paths ?? []).flatMap(({ backend }) => {
          const service = cluster.find("Service", backend.service?.name);
          const port = backend.service?.port?.name;
          const has = service?.spec?.ports?.some((one) => one.name === port) === true;
          return only(!has && `${name}: no Service ${backend.service?.name} with a port ${port}`);
        }),
      ]);
    }),

  "a StatefulSet names its headless Service, and mounts the volumes that it claims": (cluster) =>
    cluster.of("StatefulSet").flatMap(({ metadata: { name }, spec }) => {
      const service = cluster.find("Service", spec?.serviceName);
      const mounts = spec?.template.spec?.containers.flatMap((one) => one.volumeMounts ?? []) ?? [];
      const claims = spec?.volumeClaimTemplates ?? [];
      return only(
        service?.spec?.clusterIP !== "None" && `${name}: no headless Service ${spec?.serviceName}`,
        claims.length === 0 && `${name} claims no volume`,
        claims.some(({ metadata }) => !mounts.some((mount) => mount.name === metadata?.name)) &&
          `${name}: a claimed volume is not mounted`,
      );
    }),

  "databases keep their data where their images write it": (cluster) =>
    cluster.of("StatefulSet").flatMap(({ metadata: { name }, spec }) => {
      const folder = { postgres: "/var/lib/postgresql", mongo: "/data/db" }[name];
      const claimed = spec?.volumeClaimTemplates?.[0]?.metadata?.name;
      const mounts = spec?.template.spec?.containers[0]?.volumeMounts ?? [];
      const at = mounts.find((mount) => mount.name === claimed)?.mountPath;
      return only(at !== folder && `${name}: the volume is at ${at}`);
    }),

  "images are those that we build, at this version, or named others": (cluster, { version }) =>
    cluster.workloads.flatMap(({ name, labels, all }) => {
      const own = labels[COMPONENT] === "setup" ? "setup" : name;
      return all.flatMap(({ image = "" }) => {
        const isOurs = image.endsWith(`piata/${own}:${version}`);
        const isOthers = OTHERS_IMAGES.some((pattern) => pattern.test(image));
        return only(!isOurs && !isOthers && `${name}: ${image || "no image"}`);
      });
    }),

  "the version that programs show is that of their images": (cluster, { version }) => {
    const shown = cluster.find("ConfigMap", "common")?.data?.PIATA_VERSION;
    return only(shown !== version && `PIATA_VERSION is ${shown}, not ${version}`);
  },

  "a Job has its version in its name, ends, and is removed": (cluster, { version }) =>
    cluster
      .of("Job")
      .flatMap(({ metadata: { name }, spec }) =>
        only(
          !name.endsWith(`-${version.replaceAll(".", "-")}`) && `${name}: no version ${version}`,
          spec?.template.spec?.restartPolicy !== "OnFailure" && `${name} is not tried again`,
          spec?.ttlSecondsAfterFinished === undefined && `${name} is never removed`,
        ),
      ),

  "ConfigMaps hold texts": (cluster) =>
    cluster.of("ConfigMap").flatMap(({ metadata: { name }, data = {} }) =>
      Object.entries(data)
        .filter(([, value]) => typeof (value as unknown) !== "string")
        .map(([key]) => `${name}: ${key} is no text`),
    ),

  "what a cluster of databases is named in others is there": (cluster) => [
    ...[...cluster.of("Pooler"), ...cluster.of("ScheduledBackup")].flatMap(({ metadata, spec }) =>
      only(
        !cluster.find("Cluster", spec.cluster.name) &&
          `${metadata.name}: no Cluster ${spec.cluster.name}`,
      ),
    ),
    ...cluster.of("Cluster").flatMap(({ metadata: { name }, spec }) => {
      const stores = spec.plugins?.map(({ parameters }) => parameters?.barmanObjectName) ?? [];
      const backed = cluster.of("ScheduledBackup").some((one) => one.spec.cluster.name === name);
      return only(
        !backed && `${name} has no backups`,
        !stores.some((store) => cluster.find("ObjectStore", store)) && `${name}: no ObjectStore`,
      );
    }),
    ...cluster
      .of("Pooler")
      .flatMap(({ metadata: { name }, spec: { pgbouncer } }) =>
        only(
          !(Number(pgbouncer.parameters.max_prepared_statements) > 0) &&
            `${name} knows no named statements`,
          !pgbouncer.parameters.ignore_startup_parameters?.includes("statement_timeout") &&
            `${name} would refuse programs, which ask for a statement_timeout`,
        ),
      ),
    ...cluster
      .of("MongoDBCommunity")
      .flatMap(({ metadata: { name }, spec }) =>
        spec.users.flatMap(({ passwordSecretRef: { name: secret, key = "password" } }) =>
          only(
            !providedSecrets(cluster).get(secret)?.has(key) &&
              `${name}: no Secret ${secret} ${key}`,
          ),
        ),
      ),
  ],

  "the collector of traces is a Service": (cluster) => {
    const endpoint = cluster.find("ConfigMap", "common")?.data?.OTEL_EXPORTER_OTLP_ENDPOINT;
    if (endpoint === undefined) return [];
    const { hostname, port } = new URL(endpoint);
    const isThere = providedServices(cluster).get(hostname)?.has(Number(port)) === true;
    return only(!isThere && `no Service at ${endpoint}`);
  },
};
