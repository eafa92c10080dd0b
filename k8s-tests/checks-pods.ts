// Checks of what pods may do, what they need, and how long they take.
import type { Container } from "kubernetes-types/core/v1.js";
import type { Check } from "./checks-objects.ts";
import { type Cluster, COMPONENT, type Workload } from "./cluster.ts";
import { providedSecrets } from "./provided.ts";

const VOLUME_TYPES = ["configMap", "emptyDir", "secret", "persistentVolumeClaim"];
const TOKEN_OF = "setup-secrets";
/** How long it takes until DNS leaves out a pod that ends, and how long its answers are kept. */
const ENDPOINTS_MS = 1_000;
const DNS_TTL_MS = 5_000;

const only = (...faults: (string | false | undefined)[]): string[] =>
  faults.filter((fault) => typeof fault === "string");

const ofContainers = (
  cluster: Cluster,
  faultsOf: (container: Container, workload: Workload) => (string | false | undefined)[],
): string[] =>
  cluster.workloads.flatMap((workload) =>
    workload.all.flatMap((container) =>
      only(...faultsOf(container, workload)).map(
        (fault) => `${workload.name}/${container.name}: ${fault}`,
      ),
    ),
  );

/** In thousandths of a CPU, or in bytes; NaN for what is no quantity. */
export function quantity(text: string | undefined): number {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?)(m|[kMGT]i?)?$/.exec(text ?? "") ?? [];
  const base = unit.endsWith("i") ? 1024 : 1000;
  const power = unit === "m" ? -1 : unit === "" ? 0 : "kMGT".indexOf(unit[0] as string) + 1;
  return Number(number) * base ** power;
}

/** What an environment variable of a program is, where it is written out. */
const written = (container: Container | undefined, name: string): string | undefined =>
  container?.env?.find((one) => one.name === name)?.value;

export const podChecks: Record<string, Check> = {
  "pods pass the restricted Pod Security Standard": (cluster) => [
    ...cluster.workloads.flatMap(({ name, pod }) => {
      const { hostNetwork, hostPID, hostIPC, securityContext, volumes = [] } = pod;
      const types = volumes.flatMap((volume) =>
        Object.keys(volume).filter((key) => key !== "name"),
      );
      return only(
        (hostNetwork || hostPID || hostIPC) && "shares something with its host",
        securityContext?.runAsNonRoot !== true && "may run as root",
        securityContext?.runAsUser === 0 && "runs as root",
        securityContext?.seccompProfile?.type !== "RuntimeDefault" && "no seccomp profile",
        types.some((type) => !VOLUME_TYPES.includes(type)) && `volumes of ${types}`,
      ).map((fault) => `${name}: ${fault}`);
    }),
    ...ofContainers(cluster, ({ securityContext: context, ports = [] }) => [
      context?.privileged === true && "privileged",
      context?.allowPrivilegeEscalation !== false && "may get more privileges",
      context?.capabilities?.drop?.includes("ALL") !== true && "keeps capabilities",
      (context?.capabilities?.add ?? []).length > 0 && "gets capabilities",
      (context?.runAsUser === 0 || context?.runAsNonRoot === false) && "runs as root",
      ports.some(({ hostPort }) => hostPort !== undefined) && "a port of the host",
    ]),
  ],

  "root file systems are read-only": (cluster) =>
    ofContainers(cluster, ({ securityContext }) => [
      securityContext?.readOnlyRootFilesystem !== true && "writes where it likes",
    ]),

  "our images run as the user that they were made for": (cluster) =>
    cluster.workloads
      .filter(({ labels }) => ["program", "setup"].includes(labels[COMPONENT] ?? ""))
      .filter(({ pod }) => pod.securityContext?.runAsUser !== 10_001)
      .map(({ name, pod }) => `${name} runs as ${pod.securityContext?.runAsUser}`),

  "only the Job that makes Secrets has a token for the API server": (cluster) => [
    ...cluster.of("ServiceAccount").flatMap(({ metadata: { name }, ...account }) => {
      return only(account.automountServiceAccountToken !== false && `${name} gives its token away`);
    }),
    ...cluster.workloads.flatMap(({ name, pod, labels }) => {
      const account = pod.serviceAccountName;
      const mayHave = labels["app.kubernetes.io/name"] === TOKEN_OF;
      return only(
        !cluster.find("ServiceAccount", account) && `${name}: no ServiceAccount ${account}`,
        pod.automountServiceAccountToken !== mayHave && `${name}: the token is given wrongly`,
      );
    }),
  ],

  "the Role allows to get the shop's Secrets and to create some, and nothing else": (cluster) => {
    const made = [...providedSecrets(cluster).keys()].filter(
      (name) => !/-(db-app|db-url)$/.test(name),
    );
    const [role, ...more] = cluster.of("Role");
    const rules = role?.rules ?? [];
    const [get, create] = ["get", "create"].map((verb) =>
      rules.find(({ verbs }) => verbs.length === 1 && verbs[0] === verb),
    );
    const subject = cluster.of("RoleBinding")[0]?.subjects?.[0]?.name;
    const named = get?.resourceNames ?? [];
    return only(
      (more.length > 0 || rules.length !== 2 || !get || !create) && "other rules",
      rules.some(({ resources }) => `${resources}` !== "secrets") && "of other resources",
      subject !== TOKEN_OF && `it is given to ${subject}`,
      cluster.of("RoleBinding")[0]?.roleRef.name !== role?.metadata.name && "another Role is bound",
      ...made.filter((name) => !named.includes(name)).map((name) => `not of ${name}`),
      ...named.filter((name) => !made.includes(name)).map((name) => `of ${name}, too`),
    );
  },

  "Kubernetes puts no variables of Services among ours": (cluster) =>
    cluster.workloads.filter(({ pod }) => pod.enableServiceLinks !== false).map(({ name }) => name),

  "volumes are there, mounted once, and refer to what there will be": (cluster) =>
    cluster.workloads.flatMap(({ name, pod, all }) => {
      const claims = cluster.find("StatefulSet", name)?.spec?.volumeClaimTemplates ?? [];
      const volumes = [
        ...(pod.volumes ?? []).map((volume) => volume.name),
        ...claims.map(({ metadata }) => metadata?.name as string),
      ];
      const mounts = all.flatMap(({ volumeMounts = [] }) => volumeMounts);
      const paths = all.flatMap((one) =>
        (one.volumeMounts ?? []).map(({ mountPath }) => `${one.name}:${mountPath}`),
      );
      const secrets = (pod.volumes ?? []).flatMap(({ secret }) => (secret ? [secret] : []));
      const maps = (pod.volumes ?? []).flatMap(({ configMap }) => (configMap ? [configMap] : []));
      return only(
        mounts.some((mount) => !volumes.includes(mount.name)) && "mounts what is no volume",
        volumes.some((volume) => !mounts.some((mount) => mount.name === volume)) &&
          "a volume is not mounted",
        new Set(volumes).size !== volumes.length && "two volumes of one name",
        new Set(paths).size !== paths.length && "two volumes in one place",
        ...secrets
          .filter(({ secretName = "" }) => !providedSecrets(cluster).has(secretName))
          .map(({ secretName }) => `nobody makes the Secret ${secretName}`),
        secrets.some(({ optional }) => optional === true) && "would start without its Secret",
        ...maps
          .filter((map) => !cluster.find("ConfigMap", map.name))
          .map((map) => `no ConfigMap ${map.name}`),
      ).map((fault) => `${name}: ${fault}`);
    }),

  "secret files are for the program's group only": (cluster) =>
    cluster.workloads.flatMap(({ name, pod }) => {
      const modes = (pod.volumes ?? []).flatMap(({ secret }) =>
        secret ? [secret.defaultMode] : [],
      );
      if (modes.length === 0) return [];
      return only(
        modes.some((mode) => mode !== 0o440) && `${name}: a mode other than 0440`,
        pod.securityContext?.fsGroup !== pod.securityContext?.runAsGroup &&
          `${name}: its files are another group's`,
      );
    }),

  "every container asks for CPU and memory, and for no more than its limits": (cluster) =>
    ofContainers(cluster, ({ resources }) => {
      const { requests = {}, limits = {} } = resources ?? {};
      const over = ["cpu", "memory"].filter(
        (what) => quantity(requests[what]) > quantity(limits[what] ?? requests[what]),
      );
      return [
        !(quantity(requests.cpu) > 0) && "asks for no CPU",
        !(quantity(requests.memory) > 2 ** 20) && "asks for no memory",
        !(quantity(limits.memory) > 2 ** 20) && "has no limit of memory",
        over.length > 0 && `asks for more ${over} than its limit`,
      ];
    }),

  "three probes ask a port of the container for a path that is answered": (
    cluster,
    { httpPaths },
  ) =>
    cluster.workloads
      .filter(({ kind }) => kind !== "Job")
      .flatMap(({ name, labels, containers }) =>
        containers.flatMap((container) => {
          const isOurs = labels[COMPONENT] === "program";
          return (["startupProbe", "readinessProbe", "livenessProbe"] as const).flatMap((kind) => {
            const probe = container[kind];
            const asked = probe?.httpGet?.port ?? probe?.tcpSocket?.port;
            const port = container.ports?.find(
              (one) => one.name === asked || one.containerPort === asked,
            );
            const { path = "", scheme = "HTTP" } = probe?.httpGet ?? {};
            const http = written(container, `${name.toUpperCase()}_HTTP_PORT`);
            return only(
              !probe && "is missing",
              probe && !probe.exec && !port && `asks the port ${asked}, which it has not`,
              isOurs && String(port?.containerPort) !== http && "does not ask the port of health",
              isOurs && !httpPaths.has(path) && `asks for ${path}, which nobody answers`,
              isOurs && path !== "/healthz" && "does not ask for the health",
              scheme !== "HTTP" && "speaks TLS, which that port does not",
            ).map((fault) => `${name}: its ${kind} ${fault}`);
          });
        }),
      ),

  "probes leave time: to start, to be slow once, to drain": (cluster) =>
    cluster.programs.flatMap(({ name, containers: [container] }) => {
      const seconds = (kind: "startupProbe" | "readinessProbe" | "livenessProbe") => {
        const { periodSeconds = 10, failureThreshold = 3 } = container?.[kind] ?? {};
        return periodSeconds * failureThreshold;
      };
      return only(
        seconds("startupProbe") < 30 && `${name} has ${seconds("startupProbe")} s to start`,
        seconds("readinessProbe") > 15 && `${name} is sent customers too long`,
        seconds("livenessProbe") < 20 && `${name} is ended while it drains`,
        seconds("livenessProbe") <= seconds("readinessProbe") && `${name} is ended too early`,
        (container?.livenessProbe?.failureThreshold ?? 3) < 2 && `${name} may not be slow once`,
      );
    }),

  "pods that end are forgotten by their callers first, and may finish": (cluster, facts) =>
    cluster.programs.flatMap(({ name, pod, containers: [container] }) => {
      const prefix = name.toUpperCase();
      const setting = (key: string): number => {
        const found = facts.programs.get(name)?.settings.get(`${prefix}_${key}`);
        return Number(found?.type.safeParse(written(container, `${prefix}_${key}`)).data);
      };
      const pauseMs = (container?.lifecycle?.preStop?.sleep?.seconds ?? 0) * 1_000;
      const drainedMs = pauseMs + setting("DRAIN_MS");
      const learntMs = ENDPOINTS_MS + DNS_TTL_MS + facts.lookupMs;
      const endMs = drainedMs + setting("FINISH_MS") + facts.stopRestMs;
      const graceMs = (pod.terminationGracePeriodSeconds ?? 30) * 1_000;
      const idleMs = name === "gateway" ? setting("IDLE_MS") : 0;
      return only(
        drainedMs < learntMs && `${name} is called for ${learntMs} ms, and answers ${drainedMs}`,
        graceMs < endMs && `${name} is killed after ${graceMs} ms, and may need ${endMs}`,
        idleMs > setting("FINISH_MS") && `${name} keeps idle connections longer than it finishes`,
        pauseMs === 0 && `${name} is told to stop before others hear of it`,
      );
    }),

  "PostgreSQL has time to stop, and its folder stays its own": (cluster) =>
    cluster.workloads
      .filter(({ labels }) => labels[COMPONENT] === "database")
      .flatMap(({ name, pod }) =>
        only(
          (pod.terminationGracePeriodSeconds ?? 30) < 60 && `${name} is killed early`,
          pod.securityContext?.fsGroupChangePolicy !== "OnRootMismatch" &&
            `${name}: its folder is opened to the group at each start`,
        ),
      ),

  "a new version takes over without a gap": (cluster) =>
    cluster.programs.flatMap(({ name }) => {
      const { strategy } = cluster.find("Deployment", name)?.spec ?? {};
      const { maxUnavailable, maxSurge } = strategy?.rollingUpdate ?? {};
      return only(
        strategy?.type !== "RollingUpdate" && `${name} is ended before it is replaced`,
        maxUnavailable !== 0 && `${name}: ${maxUnavailable} may be missing`,
        !(Number(maxSurge) > 0) && `${name}: no other may be started`,
      );
    }),

  "HorizontalPodAutoscalers scale Deployments that leave it to them, and have CPU to go by": (
    cluster,
  ) => [
    ...cluster.of("HorizontalPodAutoscaler").flatMap(({ metadata: { name }, spec }) => {
      const { kind, name: target } = spec?.scaleTargetRef ?? {};
      const scaled = cluster.find("Deployment", target);
      const { minReplicas = 1, maxReplicas = 0, metrics = [] } = spec ?? {};
      const metric = metrics[0]?.resource;
      const request = scaled?.spec?.template.spec?.containers[0]?.resources?.requests?.cpu;
      return only(
        (kind !== "Deployment" || !scaled || target !== name) && `${name} scales ${kind} ${target}`,
        scaled?.spec?.replicas !== undefined && `${name}: the Deployment has replicas of its own`,
        (minReplicas < 2 || minReplicas > maxReplicas) && `${name}: ${minReplicas}–${maxReplicas}`,
        metric?.name !== "cpu" && `${name} goes by ${metric?.name}`,
        !(quantity(metric?.target.averageValue) > 0.1) && `${name} has no target`,
        request === undefined && `${name}: the Deployment asks for no CPU`,
      );
    }),
    ...cluster.programs
      .filter(({ name }) => name !== "discovery")
      .filter(({ name }) => !cluster.find("HorizontalPodAutoscaler", name))
      .map(({ name }) => `${name} has none`),
  ],

  "disruption budgets are for one workload each, and let its only pod be moved": (cluster) => [
    ...cluster.of("PodDisruptionBudget").flatMap(({ metadata: { name }, spec }) => {
      const chosen = cluster.selectedBy(spec?.selector);
      return only(
        (chosen.length !== 1 || chosen[0]?.name !== name) && `${name} is of ${chosen.length}`,
        spec?.minAvailable !== undefined && `${name} may block the drain of a node`,
        !(Number(spec?.maxUnavailable) >= 1) && `${name} lets none be moved`,
      );
    }),
    ...cluster.programs
      .filter(({ name }) => !cluster.find("PodDisruptionBudget", name))
      .map(({ name }) => `${name} has none`),
  ],

  "instances are spread over nodes, where there are some": (cluster) =>
    cluster.programs.flatMap(({ name, pod, labels }) => {
      const constraints = pod.topologySpreadConstraints ?? [];
      const byNode = constraints.find((one) => one.topologyKey === "kubernetes.io/hostname");
      const chosen = cluster.selectedBy(byNode?.labelSelector);
      return only(
        !byNode && `${name} is not spread`,
        byNode && !chosen.some((one) => one.labels === labels) && `${name} spreads others`,
        chosen.length > 1 && `${name} counts others with its own`,
        constraints.some((one) => one.whenUnsatisfiable !== "ScheduleAnyway") &&
          `${name} waits where there is one node`,
      );
    }),

  "PostgreSQL takes the connections of all instances that there may be": (cluster, facts) => {
    const args = cluster.container("postgres")?.args?.join(" ");
    if (args === undefined) return [];
    const [, text] = /max_connections=(\d+)/.exec(args) ?? [];
    const instances = (name: string): number =>
      // One more while a version is replaced.
      (cluster.find("HorizontalPodAutoscaler", name)?.spec?.maxReplicas ?? 1) + 1;
    // Migrations and the setup are one each, and three are the superuser's.
    const wanted = [...facts.programs]
      .filter(([name]) => name !== "cart")
      .map(([name, { connections }]) => connections * instances(name) + (connections > 0 ? 1 : 0))
      .reduce((sum, count) => sum + count, 4);
    return only(Number(text ?? 0) < wanted && `${text} connections, ${wanted} wanted`);
  },
};
