// What NetworkPolicies let through, by Kubernetes' rules: a call passes when its caller may send it and
// the called may receive it. Who is selected by no policy of a direction may everything in it.
import type { NetworkPolicyPeer, NetworkPolicyPort } from "kubernetes-types/networking/v1.js";
import { type Cluster, type Labels, matches } from "./cluster.ts";

/** One end of a call. */
export interface Place {
  /** Of a pod; another namespace; `world`, which is any address; `dns`, the cache on each node. */
  name: string;
  kind: "pod" | "namespace" | "world" | "dns";
  labels: Labels;
  /** By name, what it listens on. Of others than pods: what we might call there. */
  ports: ReadonlyMap<string, number>;
}

type Direction = "Ingress" | "Egress";

const NAMESPACE_NAME = "kubernetes.io/metadata.name";

/** Whether its caller may send it. */
export const sends = (cluster: Cluster, from: Place, to: Place, port: number): boolean =>
  allows(cluster, "Egress", { of: from, peer: to, at: to, port });

/** Whether the called may receive it. */
export const receives = (cluster: Cluster, from: Place, to: Place, port: number): boolean =>
  allows(cluster, "Ingress", { of: to, peer: from, at: to, port });

interface Call {
  /** Whose policies are asked. */
  of: Place;
  peer: Place;
  /** Who is called, whose names the ports have. */
  at: Place;
  port: number;
}

function allows(cluster: Cluster, direction: Direction, { of, peer, at, port }: Call): boolean {
  if (of.kind !== "pod") return true;
  const policies = cluster
    .of("NetworkPolicy")
    .map(({ spec }) => spec)
    .filter((spec) => spec?.policyTypes?.includes(direction))
    .filter((spec) => matches(spec?.podSelector, of.labels));
  if (policies.length === 0) return true;
  return policies
    .flatMap((spec) =>
      direction === "Ingress"
        ? (spec?.ingress ?? []).map((rule) => ({ peers: rule.from, ports: rule.ports }))
        : (spec?.egress ?? []).map((rule) => ({ peers: rule.to, ports: rule.ports })),
    )
    .some(
      ({ peers, ports }) =>
        (!peers || peers.some((one) => isPeer(one, peer))) &&
        (!ports || ports.some((one) => isPort(one, at, port))),
    );
}

function isPeer({ podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer, place: Place) {
  if (ipBlock) {
    return place.kind === "world" ? ipBlock.cidr === "0.0.0.0/0" : place.kind === "dns";
  }
  if (namespaceSelector) {
    const labels = place.kind === "namespace" ? { [NAMESPACE_NAME]: place.name } : undefined;
    return labels !== undefined && !podSelector && matches(namespaceSelector, labels);
  }
  return place.kind === "pod" && matches(podSelector, place.labels);
}

function isPort({ port, protocol = "TCP" }: NetworkPolicyPort, at: Place, asked: number): boolean {
  const number = typeof port === "string" ? at.ports.get(port) : port;
  return protocol === "TCP" && (number === undefined ? port === undefined : number === asked);
}
