// The objects of a cluster, as the manifests have them.
import { readdir, readFile } from "node:fs/promises";
import type { Deployment, StatefulSet } from "kubernetes-types/apps/v1.js";
import type { HorizontalPodAutoscaler } from "kubernetes-types/autoscaling/v2.js";
import type { Job } from "kubernetes-types/batch/v1.js";
import type {
  ConfigMap,
  Container,
  Namespace,
  PodSpec,
  Service,
  ServiceAccount,
} from "kubernetes-types/core/v1.js";
import type { LabelSelector, ObjectMeta } from "kubernetes-types/meta/v1.js";
import type { Ingress, NetworkPolicy } from "kubernetes-types/networking/v1.js";
import type { PodDisruptionBudget } from "kubernetes-types/policy/v1.js";
import type { Role, RoleBinding } from "kubernetes-types/rbac/v1.js";
import { documentsOf, yamlFaults } from "./yaml.ts";

/** Kinds of CloudNativePG and of MongoDB's operator, as far as the checks read them. */
interface DatabaseCluster {
  spec: { bootstrap: { initdb: { database: string; owner: string } }; plugins?: Plugin[] };
}
interface Plugin {
  name: string;
  parameters?: { barmanObjectName?: string };
}
interface Pooler {
  spec: { cluster: { name: string }; pgbouncer: { parameters: Record<string, string> } };
}
interface OfDatabaseCluster {
  spec: { cluster: { name: string } };
}
interface MongoCluster {
  spec: {
    users: {
      name: string;
      db: string;
      passwordSecretRef: { name: string; key?: string };
      connectionStringSecretName?: string;
    }[];
  };
}

interface Kinds {
  Namespace: Namespace;
  ServiceAccount: ServiceAccount;
  Service: Service;
  ConfigMap: ConfigMap;
  Deployment: Deployment;
  StatefulSet: StatefulSet;
  Job: Job;
  Role: Role;
  RoleBinding: RoleBinding;
  HorizontalPodAutoscaler: HorizontalPodAutoscaler;
  PodDisruptionBudget: PodDisruptionBudget;
  NetworkPolicy: NetworkPolicy;
  Ingress: Ingress;
  Cluster: DatabaseCluster;
  Pooler: Pooler;
  ScheduledBackup: OfDatabaseCluster;
  ObjectStore: object;
  MongoDBCommunity: MongoCluster;
}
type Kind = keyof Kinds;

/** Any object. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta & { name: string };
}
export type Of<K extends Kind> = Kinds[K] & Manifest;

/** Something that makes pods. */
export interface Workload {
  kind: "Deployment" | "StatefulSet" | "Job";
  name: string;
  labels: Labels;
  selector: LabelSelector | undefined;
  pod: PodSpec;
  containers: Container[];
  /** Containers of both kinds. */
  all: Container[];
}
export type Labels = Record<string, string>;

export class Cluster {
  readonly objects: Manifest[];

  constructor(objects: Manifest[]) {
    this.objects = objects;
  }

  of<K extends Kind>(kind: K): Of<K>[] {
    return this.objects.filter((object) => object.kind === kind) as Of<K>[];
  }

  find<K extends Kind>(kind: K, name: string | undefined): Of<K> | undefined {
    return this.of(kind).find(({ metadata }) => metadata.name === name);
  }

  get workloads(): Workload[] {
    const kinds = (["Deployment", "StatefulSet", "Job"] as const).flatMap((kind) =>
      this.of(kind).map(({ metadata, spec }) => {
        const pod = spec?.template?.spec as PodSpec;
        return {
          kind,
          name: metadata.name,
          labels: spec?.template?.metadata?.labels ?? {},
          selector: spec?.selector,
          pod,
          containers: pod.containers,
          all: [...(pod.initContainers ?? []), ...pod.containers],
        };
      }),
    );
    return kinds;
  }

  /** Our own, that run all the time. */
  get programs(): Workload[] {
    return this.workloads.filter(({ labels }) => labels[COMPONENT] === "program");
  }

  selectedBy(selector: LabelSelector | undefined): Workload[] {
    return this.workloads.filter(({ labels }) => matches(selector, labels));
  }

  /** The first container, which has the program's name. */
  container(name: string): Container | undefined {
    return this.workloads.find((workload) => workload.name === name)?.containers[0];
  }
}

export const NAME = "app.kubernetes.io/name";
export const COMPONENT = "app.kubernetes.io/component";

/** An absent selector matches nothing, an empty one everything. */
export function matches(selector: LabelSelector | undefined, labels: Labels): boolean {
  if (!selector) return false;
  const { matchLabels = {}, matchExpressions = [] } = selector;
  const wanted = Object.entries(matchLabels);
  return (
    wanted.every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const has = key in labels;
      if (operator === "Exists") return has;
      if (operator === "DoesNotExist") return !has;
      return (has && values.includes(labels[key] as string)) === (operator === "In");
    })
  );
}

/** The text of each file that kubectl apply -f reads, by its name, in the order that it does. */
export async function readFolder(folder: URL): Promise<Map<string, string>> {
  const names = (await readdir(folder)).filter((name) => /\.(ya?ml|json)$/.test(name));
  const texts = new Map<string, string>();
  for (const name of names.sort()) {
    texts.set(name, await readFile(new URL(name, folder), "utf8"));
  }
  return texts;
}

/** Throws when the text has a fault of form. */
export function objectsIn(text: string): Manifest[] {
  const faults = yamlFaults(text);
  if (faults.length > 0) throw new Error(faults.join("; "));
  return documentsOf(text) as Manifest[];
}
