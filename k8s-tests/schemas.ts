// Objects against the schemas of their kinds: at run time by kubernetes-models (values and what is
// required), and by the compiler with kubernetes-types (which also knows fields that do not exist).
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Manifest } from "./cluster.ts";

const root = fileURLToPath(new URL("../", import.meta.url));

/** Kinds of operators that no npm package has schemas of: only the checks of ours look at them. */
const WITHOUT_SCHEMA = new Set(["ObjectStore", "MongoDBCommunity"]);

interface Model {
  validate(): void;
}

/** What is wrong with an object by its schema. */
export async function schemaFaults(object: Manifest): Promise<string[]> {
  const { apiVersion, kind } = object;
  if (WITHOUT_SCHEMA.has(kind)) return [];
  const library = apiVersion.includes("cnpg.io")
    ? "@kubernetes-models/cloudnative-pg"
    : "kubernetes-models";
  const models = (await import(`${library}/${apiVersion}`).catch(() => ({}))) as Record<
    string,
    (new (data: object) => Model) | undefined
  >;
  const Kind = models[kind];
  if (!Kind) return [`there is no ${apiVersion} ${kind}`];
  try {
    new Kind(object).validate();
    return [];
  } catch (error) {
    return [(error as Error).message];
  }
}

/** Kubernetes' own kinds, which the compiler knows. */
const isOwn = ({ apiVersion }: Manifest): boolean => !/cnpg\.io|mongodb\.com/.test(apiVersion);

/** Where kubernetes-types has an API: apps/v1, core/v1, rbac/v1. */
const moduleOf = (apiVersion: string): string => {
  const [group = "", version] = apiVersion.split("/");
  return version ? `${group.split(".")[0]}/${version}` : `core/${group}`;
};

/** What the compiler says of each object, by its place in the list; one run for all. */
export async function typeFaults(objects: readonly Manifest[]): Promise<Map<number, string[]>> {
  const folder = await mkdtemp(join(tmpdir(), "piata-types-"));
  try {
    const types = pathToFileURL(join(root, "node_modules/kubernetes-types/")).pathname;
    await Promise.all(
      objects.map(async (object, at) => {
        if (!isOwn(object)) return;
        const text =
          `import type { ${object.kind} } from "${types}${moduleOf(object.apiVersion)}.d.ts";\n` +
          `export const object: ${object.kind} = ${JSON.stringify(object, null, 1)};\n`;
        await writeFile(join(folder, `${at}.ts`), text);
      }),
    );
    await writeFile(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          noEmit: true,
          module: "preserve",
          target: "es2024",
          types: [],
          skipLibCheck: true,
          allowImportingTsExtensions: true,
        },
      }),
    );
    return faultsByFile(await compile(folder));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function compile(folder: string): Promise<string> {
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [compiler, "-p", folder, "--pretty", "false"],
      { cwd: folder, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (error && stdout === "") reject(new Error(stderr || error.message));
        else resolve(stdout);
      },
    );
  });
}

function faultsByFile(output: string): Map<number, string[]> {
  const faults = new Map<number, string[]>();
  for (const line of output.split("\n")) {
    const [, file, fault = ""] = /^(\d+)\.ts\(\d+,\d+\): error (.*)$/.exec(line) ?? [];
    if (file === undefined) {
      if (/error TS/.test(line)) throw new Error(line);
      continue;
    }
    faults.set(Number(file), [...(faults.get(Number(file)) ?? []), fault]);
  }
  return faults;
}
