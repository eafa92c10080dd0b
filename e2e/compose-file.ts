// compose.yaml, read as Compose reads it, as far as it goes there.
import { readFile } from "node:fs/promises";
import { parse } from "yaml";

export type Condition = "service_completed_successfully" | "service_healthy";

export interface ComposeService {
  readonly image: string;
  readonly build?: { readonly context: string; readonly args: Record<string, string> };
  readonly command?: readonly string[];
  readonly user?: string;
  readonly environment?: Record<string, string | number>;
  readonly volumes?: readonly string[];
  readonly tmpfs?: readonly string[];
  readonly networks?: readonly string[];
  readonly network_mode?: string;
  readonly ports?: readonly string[];
  readonly depends_on?: Record<string, { readonly condition: Condition }>;
  readonly healthcheck?: {
    readonly disable?: boolean;
    readonly test?: readonly string[];
    readonly interval?: string;
    readonly timeout?: string;
    readonly retries?: number;
  };
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly shm_size?: string;
  readonly restart?: string;
  readonly stop_grace_period?: string;
}

export interface ComposeFile {
  readonly name: string;
  readonly services: Record<string, ComposeService>;
  readonly networks: Record<string, { readonly internal?: boolean }>;
  readonly volumes: Record<string, object>;
}

/** The file with its variables replaced. Throws for what is no strict YAML. */
export async function readCompose(env: NodeJS.ProcessEnv = {}): Promise<ComposeFile> {
  const text = await readFile(new URL("../compose.yaml", import.meta.url), "utf8");
  const replaced = text.replace(
    /\$\{(\w+):-([^}]*)\}/g,
    (_, name: string, fallback: string) => env[name] || fallback,
  );
  return parse(replaced, { strict: true, uniqueKeys: true, merge: true }) as ComposeFile;
}
