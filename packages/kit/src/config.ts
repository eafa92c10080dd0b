/**
 * Configuration: each program's settings are one table of environment variables, read once at the
 * start. All faults are reported together, by name and never by value. docs/configuration.md is
 * made from the same tables.
 */
import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import * as z from "zod";

/** A value that never shows itself in logs, errors or JSON. */
export class Secret {
  readonly #value: string;
  constructor(value: string) {
    this.#value = value;
  }
  reveal(): string {
    return this.#value;
  }
  toString(): string {
    return "***";
  }
  toJSON(): string {
    return "***";
  }
  [inspect.custom](): string {
    return "***";
  }
}

export interface Setting<Value = unknown> {
  /** The environment variable. */
  name: string;
  type: z.ZodType<Value>;
  /** One sentence for docs/configuration.md. */
  doc: string;
  /** The variable that may name a file with the value instead. */
  fileName?: string;
}

/** One row of a program's table of settings. */
export function setting<Value>(name: string, type: z.ZodType<Value>, doc: string): Setting<Value> {
  return { name, type, doc };
}

/** A setting that may also be the text of a file, which the variable NAME_FILE names. */
export function secretSetting<Value>(
  name: string,
  type: z.ZodType<Value>,
  doc: string,
): Setting<Value> {
  return { name, type, doc, fileName: `${name}_FILE` };
}

export type Settings = Record<string, Setting>;
export type ConfigOf<S extends Settings> = {
  [K in keyof S]: S[K] extends Setting<infer Value> ? Value : never;
};

/** The environment does not fit the settings; `message` lists every fault. */
export class ConfigError extends Error {}

/** The settings' values from the environment. Throws ConfigError with every fault there is. */
export function readConfig<S extends Settings>(
  settings: S,
  env: NodeJS.ProcessEnv = process.env,
): ConfigOf<S> {
  const faults: string[] = [];
  const config: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries(settings)) {
    const { name, type, doc } = setting;
    const { text, fault } = textOf(setting, env);
    if (fault !== undefined) {
      faults.push(fault);
      continue;
    }
    const parsed = type.safeParse(text);
    if (parsed.success) config[key] = parsed.data;
    else if (text === undefined) faults.push(`${name} is missing: ${doc}`);
    else faults.push(`${name}: ${parsed.error.issues.map((issue) => issue.message).join("; ")}`);
  }
  if (faults.length > 0) throw new ConfigError(`Bad configuration:\n  ${faults.join("\n  ")}`);
  return config as ConfigOf<S>;
}

/** What is set, by the variable or in its file; set to nothing is not set. */
function textOf(
  { name, fileName }: Setting,
  env: NodeJS.ProcessEnv,
): { text?: string | undefined; fault?: string } {
  const text = env[name] || undefined;
  const file = fileName && env[fileName];
  if (!file) return { text };
  if (text !== undefined) return { fault: `${name} and ${fileName}: only one of them can be set` };
  try {
    return { text: readFileSync(file, "utf8").trim() };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { fault: `${fileName}: the file cannot be read (${code})` };
  }
}

/** A whole number within bounds, written in decimal. */
export const integer = (min: number, max: number): z.ZodType<number> =>
  z
    .string()
    .regex(/^\d{1,15}$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be from ${min} to ${max}`);

/** A number from 0 to 1, such as a share. */
export const fraction = (): z.ZodType<number> =>
  z
    .string()
    .regex(/^(0(\.\d{1,9})?|1(\.0{1,9})?)$/, "must be a number from 0 to 1")
    .transform(Number);

/** The URL of an HTTP server. */
export const httpUrl = (): z.ZodType<string> =>
  z
    .string()
    .refine(
      (value) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol),
      "must be a URL that starts with http:// or https://",
    );

/** A setting that may be left out. */
export const optional = <Value>(type: z.ZodType<Value>, fallback: Value): z.ZodType<Value> =>
  type.optional().transform((value) => value ?? fallback) as z.ZodType<Value>;

export const port = (fallback: number): z.ZodType<number> => optional(integer(0, 65_535), fallback);

export const choice = <const Names extends readonly [string, ...string[]]>(
  names: Names,
): z.ZodType<Names[number]> => z.enum(names, `must be one of ${names.join(", ")}`);

/** Words with commas between them. */
export const list = (): z.ZodType<string[]> =>
  z
    .string()
    .optional()
    .transform((value) =>
      (value ?? "")
        .split(",")
        .map((word) => word.trim())
        .filter(Boolean),
    );

/** A database's URL; it may hold a password. */
export const databaseUrl = (...schemes: string[]): z.ZodType<Secret> =>
  z
    .string()
    .refine(
      (value) => URL.canParse(value) && schemes.includes(new URL(value).protocol),
      `must be a URL that starts with ${schemes.map((scheme) => `${scheme}//`).join(" or ")}`,
    )
    .transform((value) => new Secret(value));

export const postgresUrl = (): z.ZodType<Secret> => databaseUrl("postgres:", "postgresql:");

/** The settings that every program has, under its own prefix. */
export function commonSettings(program: string) {
  const prefix = program.toUpperCase();
  return {
    host: setting(
      `${prefix}_HOST`,
      optional(z.string(), "127.0.0.1"),
      "The address that its servers listen on.",
    ),
    port: setting(`${prefix}_PORT`, port(0), "The port of its server; 0 takes any free one."),
    httpPort: setting(
      `${prefix}_HTTP_PORT`,
      port(0),
      "The port of /healthz and /metrics; 0 takes any free one.",
    ),
    advertisedHost: setting(
      `${prefix}_ADVERTISED_HOST`,
      z.string().optional(),
      "The host under which others reach it, when that is not the one it listens on.",
    ),
    drainMs: setting(
      `${prefix}_DRAIN_MS`,
      optional(integer(0, 60_000), 300),
      "How long it still takes calls once it has left discovery, in milliseconds: callers learn late.",
    ),
    finishMs: setting(
      `${prefix}_FINISH_MS`,
      optional(integer(0, 60_000), 8_000),
      "How long what it is doing after that may take to finish before it is cut off, in milliseconds.",
    ),
    tlsDir: setting(
      `${prefix}_TLS_DIR`,
      z.string().optional(),
      "A folder with ca.crt, tls.crt and tls.key: with it, it speaks only mutual TLS to the others.",
    ),
    discoveryAddresses: setting(
      "DISCOVERY_ADDRESSES",
      list(),
      "host:port of every discovery instance, with commas between; empty without discovery.",
    ),
    version: setting(
      "PIATA_VERSION",
      optional(z.string(), "unknown"),
      "The version that it shows in discovery.",
    ),
    logLevel: setting(
      "LOG_LEVEL",
      optional(choice(["debug", "info", "warn", "error"]), "info"),
      "The least severe log lines to write.",
    ),
    otlpEndpoint: setting(
      "OTEL_EXPORTER_OTLP_ENDPOINT",
      httpUrl().optional(),
      "The OTLP/HTTP collector that traces are sent to, as http://host:4318; no tracing without.",
    ),
    tracesRatio: setting(
      "OTEL_TRACES_SAMPLER_ARG",
      optional(fraction(), 1),
      "The share of traces to record when the client's traceparent does not say, from 0 to 1.",
    ),
  };
}

/** Where a neighbour is found, by gRPC's naming convention; see target.ts. */
export const target = (service: string) =>
  setting(
    `${service.toUpperCase()}_TARGET`,
    optional(z.string(), `discovery:///${service}`),
    `Where the ${service} service is found, as a gRPC target: discovery:///NAME, dns:///HOST:PORT, ipv4:A:PORT,B:PORT or HOST:PORT.`,
  );
