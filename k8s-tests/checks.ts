// All checks, by what they say of the manifests when they find nothing.
import { envChecks } from "./checks-env.ts";
import { networkChecks } from "./checks-network.ts";
import { type Check, objectChecks } from "./checks-objects.ts";
import { podChecks } from "./checks-pods.ts";
import type { Cluster } from "./cluster.ts";
import type { Facts } from "./programs.ts";

export const CHECKS: ReadonlyMap<string, Check> = new Map(
  [objectChecks, podChecks, envChecks, networkChecks].flatMap((checks) => Object.entries(checks)),
);

/** What each check that found something found. */
export function faultsIn(cluster: Cluster, facts: Facts): Map<string, string[]> {
  const found = [...CHECKS].map(([name, check]) => [name, check(cluster, facts)] as const);
  return new Map(found.filter(([, faults]) => faults.length > 0));
}
