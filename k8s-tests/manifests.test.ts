// k8s-infra/ without a cluster: its form, its schemas, and what schemas cannot see. Then the same with
// one fault at a time, to see that each is found.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { parse } from "yaml";
import { CHECKS } from "./checks.ts";
import { Cluster, type Manifest, objectsIn, readFolder } from "./cluster.ts";
import { kubernetesSays } from "./kubernetes.ts";
import { mutated, unfound } from "./mutant.ts";
import { MUTANTS } from "./mutants.ts";
import { SCHEMA_MUTANTS, TEXT_MUTANTS } from "./mutants-form.ts";
import { PRODUCTION_MUTANTS } from "./mutants-production.ts";
import { readFacts } from "./programs.ts";
import { schemaFaults, typeFaults } from "./schemas.ts";
import { yamlFaults } from "./yaml.ts";

const folder = new URL("../k8s-infra/", import.meta.url);
const texts = await readFolder(folder);
const facts = await readFacts();
const real = new Cluster([...texts.values()].flatMap(objectsIn));

test("every file is YAML that all versions read alike", () => {
  for (const [name, text] of texts) assert.deepEqual(yamlFaults(text), [], name);
  console.log(`${texts.size} files, ${real.objects.length} objects`);
});

test("every object fits its schema, and has no field that does not exist", async () => {
  for (const object of real.objects) {
    assert.deepEqual(await schemaFaults(object), [], `${object.kind} ${object.metadata.name}`);
  }
  assert.deepEqual([...(await typeFaults(real.objects))], []);
});

test("Kubernetes' own code takes every object, and every pod as restricted", async () => {
  const said = await kubernetesSays([...texts.values()].join("---\n"));
  if (said === undefined) return;
  assert.equal(said, `${real.objects.length} objects, 0 faults`);
  const wrong = (texts.get("cart.yaml") as string)
    .replace("containerPort: 50051", "containerPort: 500510")
    .replace("runAsNonRoot: true", "runAsNonRoot: false");
  assert.match(
    (await kubernetesSays(wrong)) ?? "",
    /runAsNonRoot[\s\S]*containerPort[\s\S]* 2 faults$/,
  );
});

for (const [name, check] of CHECKS) {
  test(name, () => {
    assert.deepEqual(check(real, facts), []);
  });
}

test("the base of overlays has the files that kubectl apply reads, and no other", async () => {
  const { resources } = parse(await readFile(new URL("Kustomization", folder), "utf8")) as {
    resources: string[];
  };
  assert.deepEqual(resources, [...texts.keys()]);
});

test("each mutant of the manifests is found by the check that is there for it", () => {
  assert.deepEqual(unfound(MUTANTS, real, facts), []);
  console.log(`${MUTANTS.length} mutants of manifests, all found`);
});

test("each check has a mutant", () => {
  const tested = new Set([...MUTANTS, ...PRODUCTION_MUTANTS].map(({ by }) => by));
  assert.deepEqual([...CHECKS.keys()].sort(), [...tested].sort());
});

test("each mutant of a schema is found by the compiler or the models, as told", async () => {
  const wrong = SCHEMA_MUTANTS.map((mutant) => {
    const cluster = mutated(mutant, real);
    const at = cluster.objects.findIndex(
      (object, index) => JSON.stringify(object) !== JSON.stringify(real.objects[index]),
    );
    return cluster.objects[at] as Manifest;
  });
  // A version that does not exist would be a module that does not: that is the models' to find.
  const typed = wrong.map((object) => (object.apiVersion === "v2" ? real.objects[0] : object));
  const types = await typeFaults(typed as Manifest[]);
  for (const [at, { what, by }] of SCHEMA_MUTANTS.entries()) {
    const found = [
      types.has(at) ? "types" : "",
      (await schemaFaults(wrong[at] as Manifest)).length > 0 ? "models" : "",
    ].filter(Boolean);
    assert.equal(found.length === 2 ? "both" : found[0], by, what);
  }
  console.log(`${SCHEMA_MUTANTS.length} mutants of schemas, all found`);
});

test("each mutant of a text is found", () => {
  const text = texts.get("gateway.yaml") as string;
  for (const { what, from, to } of TEXT_MUTANTS) {
    const changed = text.replace(from, to);
    assert.notEqual(changed, text, what);
    assert.notDeepEqual(yamlFaults(changed), [], what);
  }
  console.log(`${TEXT_MUTANTS.length} mutants of texts, all found`);
});
