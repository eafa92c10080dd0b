/** One real program as a process of its own, on free ports. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { keyFiles } from "./identity.js";

export interface RunningService {
  pid: number;
  /** host:port of its gRPC server (of its HTTP server for the gateway). */
  address: string;
  /** host:port of /healthz and /metrics. */
  httpAddress: string;
  /** Everything that it has written so far: JSON log lines, and why it could not start. */
  output(): string;
  /** Ends it as the launcher would. Resolves to its exit code; null when a signal ended it. */
  stop(): Promise<number | null>;
  /** Sends a signal, SIGKILL unless told otherwise. */
  kill(signal?: NodeJS.Signals): void;
}

const PROGRAMS = new URL("../../../services/", import.meta.url);

/** Starts a program and waits until it serves. Throws what it said when it ends before that. */
export async function startService(
  name: string,
  env: Record<string, string>,
): Promise<RunningService> {
  const main = fileURLToPath(new URL(`${name}/dist/main.js`, PROGRAMS));
  const child = fork(main, { env: { ...inherited(), ...env }, silent: true });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const ready = await Promise.race([
    readyMessage(child),
    once(child, "exit").then(() => undefined),
  ]);
  if (!ready) throw new Error(`${name} ended before it served:\n${output}`);
  return {
    ...ready,
    pid: child.pid as number,
    output: () => output,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      const [code] = await ended;
      return code;
    },
    kill: (signal = "SIGKILL") => {
      child.kill(signal);
    },
  };
}

// A test decides about its programs' settings, not the shell that it was started from.
function inherited(): Record<string, string> {
  const { PATH = "", HOME = "", NODE_COMPILE_CACHE } = process.env;
  const { signingKey, publicKeys } = keyFiles();
  return {
    PATH,
    HOME,
    ...(NODE_COMPILE_CACHE && { NODE_COMPILE_CACHE }),
    ACCESS_SIGNING_KEY_FILE: signingKey,
    PIATA_PUBLIC_KEYS_FILE: publicKeys,
  };
}

function readyMessage(child: ChildProcess): Promise<{ address: string; httpAddress: string }> {
  return new Promise((resolve) => {
    child.on("message", (message: { type?: string; address: string; httpAddress: string }) => {
      if (message.type === "ready") resolve(message);
    });
  });
}
