// What the programs themselves say: their settings, whom they call, how many connections they open.
import { readdir, readFile } from "node:fs/promises";

export const PROGRAMS = [
  "access",
  "cart",
  "catalog",
  "discovery",
  "gateway",
  "order",
  "payment",
] as const;

interface Setting {
  name: string;
  type: { safeParse(value: string | undefined): { success: boolean; data?: unknown } };
}

export interface ProgramFacts {
  /** By the name of the variable. */
  settings: ReadonlyMap<string, Setting>;
  /** What keeps this configuration from being read; empty when nothing does. */
  faultsOf(env: Record<string, string>): string[];
  /** Services that it calls: those that it has a *_TARGET for. */
  calls: readonly string[];
  hasMigrations: boolean;
  /** PostgreSQL connections of one instance, at most. */
  connections: number;
}

export interface Facts {
  version: string;
  programs: ReadonlyMap<string, ProgramFacts>;
  /** The variables that the setup program reads. */
  setupNames: ReadonlySet<string>;
  /** Paths that the HTTP server of every program answers. */
  httpPaths: ReadonlySet<string>;
  /** What a stop may take beside draining and finishing. */
  stopRestMs: number;
  /** How often callers look names up. */
  lookupMs: number;
}

const root = new URL("../", import.meta.url);
const read = (path: string): Promise<string> => readFile(new URL(path, root), "utf8");

export async function readFacts(): Promise<Facts> {
  const { version } = JSON.parse(await read("package.json")) as { version: string };
  const http = await read("packages/kit/src/http.ts");
  const found = await Promise.all(
    PROGRAMS.map(async (name) => [name, await factsOf(name)] as const),
  );
  const setup = await settingsOf("packages/setup");
  return {
    version,
    programs: new Map(found),
    setupNames: new Set(Object.values(setup).map(({ name }) => name)),
    httpPaths: new Set([...http.matchAll(/path === "(\/\w+)"/g)].map(([, path]) => path as string)),
    stopRestMs: await constant("packages/kit/src/run.ts", "STOP_REST_MS"),
    lookupMs: await constant("packages/kit/src/target.ts", "LOOKUP_MS"),
  };
}

async function settingsOf(workspace: string): Promise<Record<string, Setting>> {
  const config = new URL(`${workspace}/dist/config.js`, root);
  return ((await import(config.href)) as { settings: Record<string, Setting> }).settings;
}

async function factsOf(program: string): Promise<ProgramFacts> {
  const settings = await settingsOf(`services/${program}`);
  const { readConfig } = (await import(new URL("packages/kit/dist/config.js", root).href)) as {
    readConfig(settings: object, env: object): unknown;
  };
  const names = new Map(Object.values(settings).map((setting) => [setting.name, setting]));
  return {
    settings: names,
    faultsOf: (env) => {
      try {
        readConfig(settings, env);
        return [];
      } catch (error) {
        return (error as Error).message.split("\n  ").slice(1);
      }
    },
    calls: [...names.keys()]
      .filter((name) => name.endsWith("_TARGET"))
      .map((name) => name.replace(/_TARGET$/, "").toLowerCase()),
    hasMigrations: await readdir(new URL(`services/${program}/migrations/`, root)).then(
      () => true,
      () => false,
    ),
    connections: await connectionsOf(program),
  };
}

async function connectionsOf(program: string): Promise<number> {
  const main = await read(`services/${program}/src/main.ts`);
  const [, standard] = /connectionsMax = (\d+)/.exec(await read("packages/kit/src/pg.ts")) ?? [];
  const pools = main.match(/new Database\(/g)?.length ?? 0;
  const stated = [...main.matchAll(/connectionsMax: (\d+)/g)].map(([, count]) => Number(count));
  return stated.reduce((sum, count) => sum + count, (pools - stated.length) * Number(standard));
}

async function constant(path: string, name: string): Promise<number> {
  const [, value] = new RegExp(`^const ${name} = ([\\d_]+);$`, "m").exec(await read(path)) ?? [];
  if (value === undefined) throw new Error(`${path} has no ${name}`);
  return Number(value.replaceAll("_", ""));
}
