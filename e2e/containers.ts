// The shop of compose.yaml as containers: by Compose v2 where there is one, else by docker run.
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { freePort } from "@piata/testkit/free-port";
import { until } from "@piata/testkit/until";
import { type ComposeFile, type ComposeService, readCompose } from "./compose-file.ts";

const START_TIMEOUT_MS = 300_000;
const root = new URL("../", import.meta.url);

export interface DatabaseImages {
  readonly postgres: string;
  readonly mongo: string;
}

/** What docker says; throws what it complains of. */
export async function docker(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)("docker", args, { cwd: root });
  return stdout.trim();
}

export class Containers {
  readonly url: string;
  readonly how: "Compose" | "docker run";
  readonly #project = `piata-test-${randomBytes(4).toString("hex")}`;
  readonly #file: ComposeFile;
  readonly #env: NodeJS.ProcessEnv;

  private constructor(file: ComposeFile, env: NodeJS.ProcessEnv, hasCompose: boolean) {
    this.#file = file;
    this.#env = env;
    this.how = hasCompose ? "Compose" : "docker run";
    this.url = `http://127.0.0.1:${env.PORT}/graphql`;
  }

  /** Starts everything, each container when those that it needs are well. The images are there. */
  static async start({ postgres, mongo }: DatabaseImages): Promise<Containers> {
    const port = String(await freePort());
    const env = { PORT: port, POSTGRES_IMAGE: postgres, MONGO_IMAGE: mongo };
    const hasCompose = await docker("compose", "version").then(
      (said) => / v?2\./.test(said),
      () => false,
    );
    const containers = new Containers(await readCompose(env), env, hasCompose);
    try {
      if (hasCompose) await containers.#compose("up", "--detach", "--wait", "--no-build");
      else await containers.#run();
      return containers;
    } catch (error) {
      await containers.remove();
      throw error;
    }
  }

  container(service: string): string {
    return `${this.#project}-${service}-1`;
  }

  /** Takes a container off a network of compose.yaml. */
  async cutOff(service: string, network: string): Promise<void> {
    await docker("network", "disconnect", this.#name(network), this.container(service));
  }

  async heal(service: string, network: string): Promise<void> {
    const alias = ["--alias", service];
    await docker("network", "connect", ...alias, this.#name(network), this.container(service));
  }

  /** The last lines that it has logged. */
  lastWords(service: string): Promise<string> {
    return docker("logs", "--tail", "200", this.container(service));
  }

  /** Asks the containers to end, those last that others need; their exit codes. */
  async stop(services: readonly string[]): Promise<Record<string, number>> {
    for (const service of services) await docker("stop", this.container(service));
    const codes = services.map(async (service) => {
      const code = await docker("inspect", "-f", "{{.State.ExitCode}}", this.container(service));
      return [service, Number(code)] as const;
    });
    return Object.fromEntries(await Promise.all(codes));
  }

  /** Removes all that was started, with the data. */
  async remove(): Promise<void> {
    if (this.how === "Compose") {
      await this.#compose("down", "--volumes", "--timeout", "1");
      return;
    }
    const { services, networks, volumes } = this.#file;
    const each = async (names: string[], command: string[]) => {
      for (const name of names) await docker(...command, name).catch(() => undefined);
    };
    const containers = Object.keys(services).map((name) => this.container(name));
    await each(containers, ["rm", "--force", "--volumes"]);
    await each(Object.keys(networks).map(this.#name), ["network", "rm"]);
    await each(Object.keys(volumes).map(this.#name), ["volume", "rm"]);
  }

  readonly #name = (what: string): string => `${this.#project}_${what}`;

  async #compose(...args: string[]): Promise<void> {
    const env = { ...process.env, ...this.#env };
    const all = ["compose", "--project-name", this.#project, ...args];
    await promisify(execFile)("docker", all, { cwd: root, env, timeout: START_TIMEOUT_MS });
  }

  async #run(): Promise<void> {
    for (const [name, { internal }] of Object.entries(this.#file.networks)) {
      await docker("network", "create", ...(internal ? ["--internal"] : []), this.#name(name));
    }
    const started = new Map<string, Promise<void>>();
    const start = (name: string): Promise<void> => {
      const running = started.get(name) ?? this.#startAfter(name, start);
      started.set(name, running);
      return running;
    };
    await Promise.all(Object.keys(this.#file.services).map(start));
  }

  /** Resolves when the container is well, or when the one that runs once is over. */
  async #startAfter(name: string, start: (name: string) => Promise<void>): Promise<void> {
    const service = this.#file.services[name] as ComposeService;
    await Promise.all(Object.keys(service.depends_on ?? {}).map(start));
    const container = this.container(name);
    const [first, ...others] = service.networks ?? [];
    const network = service.network_mode ?? this.#name(first as string);
    await docker("create", "--name", container, "--network", network, ...this.#flags(name));
    for (const other of others) {
      await docker("network", "connect", "--alias", name, this.#name(other), container);
    }
    await docker("start", container);
    const once = service.restart === "no";
    const format = once
      ? "{{.State.Status}} {{.State.ExitCode}}"
      : "{{.State.Health.Status}} {{.State.ExitCode}}";
    const wanted = once ? "exited 0" : "healthy 0";
    const state = () => docker("inspect", "-f", format, container);
    await until(async () => (await state()) === wanted, {
      timeoutMs: START_TIMEOUT_MS,
      what: `${container} to be ${wanted}`,
    });
  }

  #flags(name: string): string[] {
    const service = this.#file.services[name] as ComposeService;
    const each = (flag: string, values: readonly string[] = []) =>
      values.flatMap((value) => [flag, value]);
    const environment = Object.entries(service.environment ?? {});
    const isOnNetwork = service.network_mode === undefined;
    return [
      ...(isOnNetwork ? ["--network-alias", name] : []),
      ...(service.read_only ? ["--read-only"] : []),
      ...(service.user ? ["--user", service.user] : []),
      ...(service.shm_size ? ["--shm-size", service.shm_size] : []),
      ...each("--cap-drop", service.cap_drop),
      ...each("--security-opt", service.security_opt),
      ...each("--tmpfs", service.tmpfs),
      ...each("--publish", service.ports),
      ...each("--volume", service.volumes?.map(this.#name)),
      ...each(
        "--env",
        environment.map(([variable, value]) => `${variable}=${value}`),
      ),
      ...["--restart", service.restart ?? "no"],
      ...["--stop-timeout", String(Number.parseInt(service.stop_grace_period ?? "10", 10))],
      ...healthFlags(service.healthcheck),
      service.image,
      ...(service.command ?? []),
    ];
  }
}

function healthFlags(check: ComposeService["healthcheck"]): string[] {
  if (check === undefined) return [];
  if (check.disable) return ["--no-healthcheck"];
  // docker run knows commands of a shell only.
  const words = (check.test ?? []).slice(1).map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  return [
    ...["--health-cmd", words.join(" ")],
    ...["--health-interval", check.interval ?? "30s"],
    ...["--health-timeout", check.timeout ?? "30s"],
    ...["--health-retries", String(check.retries ?? 3)],
  ];
}
