// What we build on: each package is there for a written reason, at one version, as it was published,
// under a licence that lets anybody use it, and runs nothing when it is installed.
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

interface Manifest {
  name: string;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
}

interface Locked {
  version?: string;
  resolved?: string;
  integrity?: string;
  link?: boolean;
  license?: string;
  hasInstallScript?: boolean;
}

const LICENCES = new Set([
  "0BSD",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BlueOak-1.0.0",
  "CC0-1.0",
  "ISC",
  "MIT",
]);
const MODULES = "node_modules/";

const root = join(import.meta.dirname, "..");
const read = (path: string) => readFileSync(join(root, path), "utf8");

const manifests = globSync(["package.json", "{packages,services}/*/package.json"], { cwd: root })
  .sort()
  .map((path) => JSON.parse(read(path)) as Manifest);
const ours = new Set(manifests.map(({ name }) => name));

const lock = JSON.parse(read("package-lock.json")) as { packages: Record<string, Locked> };
/** What an install puts into node_modules, by where; our own packages are links there. */
const installed = Object.entries(lock.packages).filter(
  ([path, { link }]) => path.includes(MODULES) && !link,
);

const nameOf = (path: string) => path.slice(path.lastIndexOf(MODULES) + MODULES.length);

/** The packages that a part of docs/dependencies.md has rows for; `*` stands for any of a scope. */
function documented(isInstallScripts: boolean): string[] {
  const parts = read("docs/dependencies.md").split(/^## /m);
  return parts
    .filter((part) => part.startsWith("Install scripts") === isInstallScripts)
    .flatMap((part) => [...part.matchAll(/^\|([^|]+)\|/gm)])
    .flatMap(([, cell = ""]) => [...cell.matchAll(/`([^`]+)`/g)])
    .map(([, name]) => name as string);
}

const covers = (row: string, name: string) =>
  row === name || (row.endsWith("/*") && name.startsWith(row.slice(0, -1)));

/** Holds rows and packages against each other, both ways. */
function assertSame(rows: string[], packages: ReadonlySet<string>): void {
  const missing = [...packages].filter((name) => !rows.some((row) => covers(row, name)));
  const unused = rows.filter((row) => ![...packages].some((name) => covers(row, name)));
  const twice = rows.filter((row, index) => rows.indexOf(row) < index);
  assert.deepEqual({ missing, unused, twice }, { missing: [], unused: [], twice: [] });
}

const wanted = manifests.flatMap(({ name: by, ...manifest }) =>
  (["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"] as const)
    .flatMap((kind) => Object.entries(manifest[kind] ?? {}))
    .map(([name, version]) => ({ by, name, version })),
);

test("every dependency has its reason in docs/dependencies.md, and every reason a dependency", () => {
  const theirs = wanted.map(({ name }) => name).filter((name) => !ours.has(name));
  assertSame(documented(false), new Set(theirs));
});

test("every dependency is wanted at one exact version, by all who want it", () => {
  const versions = new Map<string, string>();
  for (const { by, name, version } of wanted) {
    assert.match(version, /^\d+\.\d+\.\d+(?:-[\w.]+)?$/, `${by} wants ${name}`);
    assert.equal(versions.get(name) ?? version, version, `${by} wants another ${name}`);
    versions.set(name, version);
  }
});

test("the lockfile has every package from the registry, with what it must be", () => {
  assert.ok(installed.length > 100);
  for (const [path, { version, resolved, integrity }] of installed) {
    assert.match(version ?? "", /^\d+\.\d+\.\d+/, path);
    assert.match(integrity ?? "", /^sha512-[A-Za-z0-9+/]{86}==$/, path);
    assert.match(resolved ?? "https://registry.npmjs.org/", /^https:\/\/registry\.npmjs\.org\//);
  }
});

test("no package has an install script but those that are named", () => {
  const scripted = installed.filter(([, { hasInstallScript }]) => hasInstallScript);
  assertSame(documented(true), new Set(scripted.map(([path]) => nameOf(path))));
});

test("every package may be used by anybody", () => {
  const others = installed
    .map(([path, { license = "none" }]) => ({ name: nameOf(path), license }))
    .filter(({ license }) => !isFree(license));
  assert.deepEqual(others, []);
});

/** Of one of several licences the freest counts; of several at once each must do. */
function isFree(license: string): boolean {
  const bare = license.replace(/^\((.*)\)$/, "$1");
  if (bare.includes(" OR ")) return bare.split(" OR ").some(isFree);
  return bare.split(" AND ").every((one) => LICENCES.has(one));
}
