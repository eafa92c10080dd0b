import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { PROGRAMS, type ProgramName } from "@piata/setup/programs";

export const USAGE = `Usage: npm start -- [options]

  --port P             the port of the GraphQL API (default 30000; 0 for a free one)
  --data DIR           the folder that keeps everything (default .data)
  --replicas LIST      instances per program, such as gateway=2,catalog=3 (default one of each)
  --compact            all programs in one process: less memory, one core, no --replicas
  --no-demo            do not load the demo catalogue
  --help               show this

A server of your own is used instead of the embedded PostgreSQL for each of ACCESS_DATABASE_URL,
CATALOG_DATABASE_URL, CART_DATABASE_URL (postgres:// or mongodb://), ORDER_DATABASE_URL and
PAYMENT_DATABASE_URL that is set. docs/configuration.md has all the settings.`;

const DEFAULT_PORT = 30_000;
const REPLICAS_MAX = 16;

export interface Options {
  readonly help: boolean;
  readonly port: number;
  readonly dataDir: string;
  readonly demo: boolean;
  /** All programs in one process. */
  readonly compact: boolean;
  readonly replicas: Readonly<Record<ProgramName, number>>;
}

/** What the caller asked for cannot be understood. */
export class UsageError extends Error {}

export function readOptions(args: string[], env: NodeJS.ProcessEnv, root: string): Options {
  const values = parse(args);
  const compact = values.compact ?? false;
  const replicas = readReplicas(values.replicas ?? "");
  if (compact && Object.values(replicas).some((count) => count > 1)) {
    throw new UsageError(
      "--compact has one of each program, in one process: leave out --replicas.",
    );
  }
  return {
    help: values.help ?? false,
    port: readPort(values.port ?? env.GATEWAY_PORT ?? String(DEFAULT_PORT)),
    dataDir: resolve(root, values.data ?? ".data"),
    demo: values.demo ?? true,
    compact,
    replicas,
  };
}

/** Whether the launcher can hand a socket that it has bound to the programs that it starts. */
export function canShareSockets(): boolean {
  return process.platform !== "win32";
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        help: { type: "boolean", short: "h" },
        port: { type: "string" },
        data: { type: "string" },
        demo: { type: "boolean" },
        compact: { type: "boolean" },
        replicas: { type: "string" },
      },
      allowNegative: true,
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function readPort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return port;
  throw new UsageError(`The port must be a number from 0 to 65535, not "${text}".`);
}

function readReplicas(text: string): Record<ProgramName, number> {
  const replicas = Object.fromEntries(PROGRAMS.map((name) => [name, 1]));
  for (const entry of text.split(",").filter((part) => part !== "")) {
    const [, name = "", count = ""] = /^(\w+)=(\d{1,2})$/.exec(entry) ?? [];
    if (replicas[name] === undefined) {
      throw new UsageError(
        `"${entry}" is not <program>=<count> with one of the programs ${PROGRAMS.join(", ")}.`,
      );
    }
    if (Number(count) < 1 || Number(count) > REPLICAS_MAX) {
      throw new UsageError(`${name} can have 1 to ${REPLICAS_MAX} instances, not ${count}.`);
    }
    replicas[name] = Number(count);
  }
  if (replicas.gateway !== 1 && !canShareSockets()) {
    throw new UsageError("On Windows there is one gateway: programs cannot share a port there.");
  }
  return replicas as Record<ProgramName, number>;
}
