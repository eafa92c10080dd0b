// What each program is started with.
import { readFileSync } from "node:fs";
import { mkdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import {
  PROGRAMS,
  type ProgramName,
  SERVICES_WITH_DATABASE,
  type ServiceWithDatabase,
} from "@piata/setup/programs";
import { newSigningKey, publicKeySet } from "@piata/setup/signing-key";
import { writeCertificates } from "./certificates.ts";
import { findText, writeWhole } from "./files.ts";
import type { Options } from "./options.ts";
import { INHERITED_FD, type ProgramSpec } from "./supervisor.ts";

// Not npm_package_version: the launcher may be started without npm.
const { version } = JSON.parse(
  readFileSync(new URL("../package.json", import.meta.url), "utf8"),
) as { version: string };

/** What the process that has all programs in it is called. */
export const COMPACT = "compact";
/** Where they find each other; see LocalNetwork. */
const LOCAL_ADDRESSES = {
  DISCOVERY_ADDRESSES: "local:///discovery",
  ...Object.fromEntries(
    PROGRAMS.map((name) => [`${name.toUpperCase()}_TARGET`, `local:///${name}`]),
  ),
};

/**
 * Bounds of memory, in MB; docs/performance.md has what they save and cost. Node would let the young
 * generation grow to 48 and keep it, and the old one to a sixth of the machine.
 */
const NODE_OPTIONS = "--max-semi-space-size=4 --max-old-space-size=512";
/** Most of what a request allocates is the gateway's. */
const NODE_OPTIONS_GATEWAY = "--max-semi-space-size=16 --max-old-space-size=512";
const NODE_OPTIONS_COMPACT = "--max-semi-space-size=8 --max-old-space-size=1024";

const LOG_BYTES_MAX = 32 * 1024 * 1024;

export type DatabaseUrls = Readonly<Partial<Record<ServiceWithDatabase, string>>>;

export interface Shared {
  readonly root: string;
  readonly options: Options;
  readonly discoveryAddresses: readonly string[];
  readonly databaseUrls: DatabaseUrls;
  /** The descriptor of the GraphQL API's socket; undefined where the gateway binds its own. */
  readonly gatewayFd?: number | undefined;
}

/** The services that the caller gave no database for. */
export function servicesToHost(env: NodeJS.ProcessEnv): ServiceWithDatabase[] {
  return SERVICES_WITH_DATABASE.filter((service) => {
    const variable = databaseVariable(service);
    return !env[variable] && !env[`${variable}_FILE`];
  });
}

export function specsOf(name: ProgramName, shared: Shared): ProgramSpec[] {
  const { root, options } = shared;
  return Array.from({ length: options.replicas[name] }, (_, index) => ({
    name,
    instance: index + 1,
    hosts: [name],
    main: join(root, mainOf(name)),
    env: environmentOf(name, index + 1, shared),
    log: join(options.dataDir, "logs", `${name}-${index + 1}.log`),
    inherits: name === "gateway" ? shared.gatewayFd : undefined,
  }));
}

/** One process with all programs in it, and all that each of them is told. */
export function compactSpec(shared: Omit<Shared, "discoveryAddresses">): ProgramSpec {
  const { root, options, gatewayFd } = shared;
  const envs = PROGRAMS.map((name) =>
    environmentOf(name, 1, { ...shared, discoveryAddresses: [] }),
  );
  return {
    name: COMPACT,
    instance: 1,
    hosts: PROGRAMS,
    main: join(root, mainOf(COMPACT)),
    env: Object.assign({}, ...envs),
    log: join(options.dataDir, "logs", `${COMPACT}-1.log`),
    inherits: gatewayFd,
  };
}

/** The JavaScript file of a program, from the root of the repository. */
export const mainOf = (name: string): string =>
  name === COMPACT ? join("scripts", "compact.mjs") : join("services", name, "dist", "main.js");

function nodeOptionsOf(name: ProgramName, { compact }: Options): string {
  if (compact) return NODE_OPTIONS_COMPACT;
  return name === "gateway" ? NODE_OPTIONS_GATEWAY : NODE_OPTIONS;
}

// What the caller's environment sets wins over our defaults. No program sees another's secrets.
function environmentOf(name: ProgramName, instance: number, shared: Shared): NodeJS.ProcessEnv {
  const { root, options, discoveryAddresses, databaseUrls, gatewayFd } = shared;
  const prefix = name.toUpperCase();
  const given = Object.entries(process.env).filter(([key]) => !isSecretOfOther(key, name));
  const env: NodeJS.ProcessEnv = {
    NODE_COMPILE_CACHE: join(root, "node_modules", ".cache", "piata"),
    SHOP_CURRENCY: "EUR",
    PIATA_VERSION: version,
    PIATA_PUBLIC_KEYS_FILE: publicKeysFile(options.dataDir),
    [`${prefix}_TLS_DIR`]: tlsDir(options.dataDir, name),
    [`${prefix}_HOST`]: "127.0.0.1",
    [`${prefix}_PORT`]: "0",
    [`${prefix}_HTTP_PORT`]: "0",
    ...settingsOf(name, options),
    ...(name === "discovery" ? {} : { DISCOVERY_ADDRESSES: discoveryAddresses.join(",") }),
    ...(options.compact ? LOCAL_ADDRESSES : {}),
    ...Object.fromEntries(given),
    // The last word on an option wins: the caller's.
    NODE_OPTIONS: `${nodeOptionsOf(name, options)} ${process.env.NODE_OPTIONS ?? ""}`,
  };
  const url = databaseUrls[name as ServiceWithDatabase];
  if (url !== undefined) env[databaseVariable(name as ServiceWithDatabase)] ||= url;
  // A port that the caller chose is for the first instance; two cannot have it.
  if (instance > 1) Object.assign(env, { [`${prefix}_PORT`]: "0", [`${prefix}_HTTP_PORT`]: "0" });
  if (name === "gateway") {
    env.GATEWAY_PORT = String(options.port);
    env.GATEWAY_LISTEN_FD = gatewayFd === undefined ? "" : String(INHERITED_FD);
  }
  return env;
}

function settingsOf(name: ProgramName, { dataDir }: Options): NodeJS.ProcessEnv {
  if (name === "access") return { ACCESS_SIGNING_KEY_FILE: signingKeyFile(dataDir) };
  if (name === "payment") return { PAYMENT_PROVIDER: "sandbox" };
  if (name === "gateway") {
    return {
      GATEWAY_GRAPHIQL: "on",
      GATEWAY_INTROSPECTION: "on",
      GATEWAY_IMAGES_DIR: join(dataDir, "images"),
    };
  }
  return {};
}

function isSecretOfOther(key: string, name: ProgramName): boolean {
  const isSecret = /_(DATABASE_URL(_FILE)?|SIGNING_KEY_FILE|TLS_DIR)$/.test(key);
  return isSecret && !key.startsWith(`${name.toUpperCase()}_`);
}

function databaseVariable(service: ServiceWithDatabase): string {
  return `${service.toUpperCase()}_DATABASE_URL`;
}

function signingKeyFile(dataDir: string): string {
  return join(dataDir, "secrets", "access-signing-key.pem");
}

function publicKeysFile(dataDir: string): string {
  return join(dataDir, "secrets", "public-keys.json");
}

/** The folder with a program's certificate, or the operator's. */
export function tlsDir(dataDir: string, name: ProgramName | "operator"): string {
  return join(dataDir, "secrets", "tls", name);
}

/**
 * The folders of the data folder, the key that access signs tokens with, and the certificates of
 * this start.
 */
export async function prepareFolder({ dataDir }: Options): Promise<void> {
  await mkdir(dataDir, { recursive: true });
  await mkdir(join(dataDir, "secrets"), { recursive: true, mode: 0o700 });
  for (const name of ["logs", "images"]) {
    await mkdir(join(dataDir, name), { recursive: true });
  }
  await Promise.all([prepareKeys(dataDir), writeCertificates(join(dataDir, "secrets", "tls"))]);
}

async function prepareKeys(dataDir: string): Promise<void> {
  const keyFile = signingKeyFile(dataDir);
  let pem = await findText(keyFile);
  if (pem === undefined) {
    pem = newSigningKey();
    await writeWhole(keyFile, pem, 0o600);
  }
  await writeWhole(publicKeysFile(dataDir), publicKeySet(pem));
}

/** Begins a new log when the old one has grown large, and keeps one old one. */
export async function turnLog(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found !== undefined && found.size > LOG_BYTES_MAX) await rename(path, `${path}.old`);
}
