// How a manifest is given one fault. A check that does not find the fault that it is named for checks
// nothing.
import { faultsIn } from "./checks.ts";
import { Cluster, type Manifest } from "./cluster.ts";
import type { Facts } from "./programs.ts";

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

export const mutant = (
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

export const whole = (what: string, by: string, change: (objects: Manifest[]) => void): Mutant => ({
  what,
  by,
  change: ({ objects }) => change(objects),
});

export const remove = (kind: string, name: string) => (objects: Manifest[]) => {
  const at = objects.findIndex((one) => one.kind === kind && one.metadata.name === name);
  if (at === -1) throw new Error(`there is no ${kind} ${name}`);
  objects.splice(at, 1);
};

export const POD = ["spec", "template", "spec"] as const;
export const MAIN = [...POD, "containers", 0] as const;
export const INIT = [...POD, "initContainers", 0] as const;

/** The variable of that name, in the list of a container. */
export const variable = (name: string, value: object | undefined) => (before: unknown) => {
  const list = before as { name: string }[];
  const at = list.findIndex((one) => one.name === name);
  if (at === -1) throw new Error(`there is no ${name}`);
  return list.flatMap((one, index) => (index === at ? (value ? [{ name, ...value }] : []) : [one]));
};
export const also =
  (...more: unknown[]) =>
  (before: unknown) => [...(before as unknown[]), ...more];

/** A copy of the cluster with the fault in it. */
export function mutated({ change }: Mutant, cluster: Cluster): Cluster {
  const copy = new Cluster(structuredClone(cluster.objects));
  change(copy);
  return copy;
}

/** The mutants that their checks do not find. */
export const unfound = (mutants: readonly Mutant[], cluster: Cluster, facts: Facts): string[] =>
  mutants
    .filter((one) => !faultsIn(mutated(one, cluster), facts).has(one.by))
    .map(({ what, by }) => `${what}: not found by: ${by}`);
