// k8s-overlays/production, rendered by Kustomize where it is there, and held against the same checks.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { didNotRun } from "@piata/testkit/did-not-run";
import { parse } from "yaml";
import { faultsIn } from "./checks.ts";
import { Cluster, objectsIn } from "./cluster.ts";
import { kubernetesSays } from "./kubernetes.ts";
import { unfound } from "./mutant.ts";
import { PRODUCTION_MUTANTS } from "./mutants-production.ts";
import { readFacts } from "./programs.ts";
import { schemaFaults, typeFaults } from "./schemas.ts";
import { yamlFaults } from "./yaml.ts";

const folder = new URL("../k8s-overlays/production/", import.meta.url);
const run = promisify(execFile);

const RENDERERS = [
  { program: "kustomize", version: ["version"], render: ["build", "."] },
  { program: "kubectl", version: ["version", "--client", "--output=json"], render: ["kustomize"] },
] as const;
/** Older ones read patches in other ways. */
const KUSTOMIZE_MIN = 5;

/** The text of all objects; undefined where nothing can render it. */
async function rendered(): Promise<string | undefined> {
  const options = { cwd: fileURLToPath(folder), maxBuffer: 64 * 1024 * 1024 };
  for (const { program, version, render } of RENDERERS) {
    const said = await run(program, version, options).then(
      ({ stdout }) => stdout,
      () => "",
    );
    // kubectl tells it beside its own; a kustomize that Go has built may not know its version.
    const [, major] = /^(?:.*kustomizeVersion": ")?v(\d+)\./m.exec(said) ?? [];
    const isNew = major === undefined ? said.includes("devel") : Number(major) >= KUSTOMIZE_MIN;
    if (isNew) return (await run(program, render, options)).stdout;
  }
  didNotRun("the overlay for production", "neither kustomize 5 nor a kubectl with it is there");
  return undefined;
}

test("every file of the overlay is YAML that all versions read alike, and is used", async () => {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".yaml"));
  for (const name of names) {
    assert.deepEqual(yamlFaults(await readFile(new URL(name, folder), "utf8")), [], name);
  }
  const { resources, patches } = parse(
    await readFile(new URL("kustomization.yaml", folder), "utf8"),
  ) as { resources: string[]; patches: { path?: string }[] };
  const used = [...resources.slice(1), ...patches.flatMap(({ path }) => path ?? [])];
  assert.deepEqual(
    names.filter((name) => name !== "kustomization.yaml"),
    used.sort(),
  );
});

test("the overlay renders to objects that pass every check, and each mutant of them is found", async () => {
  const text = await rendered();
  if (text === undefined) return;
  const cluster = new Cluster(objectsIn(text));
  const facts = await readFacts();
  assert.deepEqual([...faultsIn(cluster, facts)], []);
  for (const object of cluster.objects) {
    assert.deepEqual(await schemaFaults(object), [], `${object.kind} ${object.metadata.name}`);
  }
  assert.deepEqual([...(await typeFaults(cluster.objects))], []);
  assert.match((await kubernetesSays(text)) ?? ", 0 faults", /, 0 faults$/);
  assert.deepEqual(unfound(PRODUCTION_MUTANTS, cluster, facts), []);
  console.log(`${cluster.objects.length} objects, ${PRODUCTION_MUTANTS.length} mutants found`);
});
