// The whole shop: everything that npm start starts, in order, and stops in the reverse one.
import { rm } from "node:fs/promises";
import type { BoundSocket } from "node:net";
import { join, relative } from "node:path";
import { PROGRAMS, type ProgramName, type ServiceWithDatabase } from "@piata/setup/programs";
import { hostDatabases } from "./databases.ts";
import { loadDemo } from "./demo.ts";
import { EmbeddedPostgres } from "./embedded.ts";
import { sentence, writeWhole } from "./files.ts";
import { lockFolder } from "./lock.ts";
import type { Options } from "./options.ts";
import { awaitLeftPrograms } from "./processes.ts";
import {
  COMPACT,
  compactSpec,
  type DatabaseUrls,
  prepareFolder,
  servicesToHost,
  specsOf,
  turnLog,
} from "./programs.ts";
import { openSecrets } from "./secrets.ts";
import { bindSocket } from "./socket.ts";
import { Program, type ProgramEvents, type ProgramSpec, type Served } from "./supervisor.ts";

const STOP_ORDER: readonly (readonly string[])[] = [
  ["gateway", COMPACT],
  ["order"],
  ["access", "catalog", "cart", "payment"],
  ["discovery"],
];

const DATABASES_STEP = "PostgreSQL and its databases";

/** A row of DIR/run.json. */
export interface RunningProcess {
  readonly name: string;
  /** From 1. An instance keeps its number and its addresses when it is started again. */
  readonly instance: number;
  readonly pid: number;
  readonly address: string;
  /** Where /healthz and /metrics are. */
  readonly httpAddress?: string;
}

/** DIR/run.json. */
export interface RunFile {
  readonly url: string;
  /** All programs are in one process. */
  readonly compact: boolean;
  readonly processes: readonly RunningProcess[];
}

/** A program that runs, in a process of its own or with the others. */
export interface Instance extends Served {
  readonly instance: number;
  readonly pid: number | undefined;
}

export interface ShopEvents {
  /** A step of the start is done. */
  done(step: string, tookMs: number): void;
  /** Something happened that a person should know. */
  said(sentence: string): void;
}

export class Stopped extends Error {}

export class Shop {
  readonly #root: string;
  readonly #options: Options;
  readonly #events: ShopEvents;
  readonly #programs: Program[] = [];
  #postgres: EmbeddedPostgres | undefined;
  #unlock: (() => Promise<void>) | undefined;
  #socket: BoundSocket | undefined;
  #isUp = false;
  #isStopping = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(root: string, options: Options, events: ShopEvents) {
    this.#root = root;
    this.#options = options;
    this.#events = events;
  }

  get url(): string {
    const address = this.instances.find(({ name }) => name === "gateway")?.address ?? "";
    return `http://localhost:${address.slice(address.lastIndexOf(":") + 1)}/graphql`;
  }

  /** In the order of the table. */
  get instances(): readonly Instance[] {
    const rank = ({ name }: Instance) => PROGRAMS.indexOf(name as ProgramName);
    return this.#programs
      .flatMap(({ spec: { instance }, pid, served }) =>
        served.map((each) => ({ ...each, instance, pid })),
      )
      .sort((a, b) => rank(a) - rank(b));
  }

  /** Everything that runs, this process included. */
  get processes(): RunningProcess[] {
    const own = { name: "launcher", instance: 1, pid: process.pid, address: "" };
    const postgres = {
      name: "postgres",
      instance: 1,
      pid: this.#postgres?.pid,
      address: this.#postgres?.address,
    };
    return [own, postgres, ...this.instances].filter((row): row is RunningProcess => !!row.pid);
  }

  async start(): Promise<void> {
    const { dataDir, port, compact, demo } = this.#options;
    await prepareFolder(this.#options);
    this.#unlock = await lockFolder(dataDir);
    await awaitLeftPrograms(this.#runFile);
    this.#socket = await bindSocket(process.env.GATEWAY_HOST || "127.0.0.1", port);

    if (compact) await this.#startCompact();
    else await this.#startApart();
    this.#isUp = true;
    await this.#writeRunFile();
    if (demo) await this.#loadDemo();
  }

  /** Stops what runs, however far the start had come. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const names of STOP_ORDER) {
      const programs = this.#programs.filter(({ spec }) => names.includes(spec.name));
      await Promise.all(programs.map((program) => program.stop()));
      // Nobody will come for the connections that wait in its queue.
      if (names.includes("gateway")) this.#socket?.[Symbol.dispose]();
    }
    await this.#postgres?.stop();
    await this.#writing;
    if (this.#unlock === undefined) return;
    await rm(this.#runFile, { force: true });
    await this.#unlock();
  }

  /** Does not wait for any program; PostgreSQL recovers at the next start. */
  kill(): void {
    for (const program of this.#programs) program.kill();
    this.#postgres?.kill();
  }

  get #runFile(): string {
    return join(this.#options.dataDir, "run.json");
  }

  async #step<T>(what: string, work: () => Promise<T>): Promise<T> {
    const start = Date.now();
    const result = await work();
    if (this.#isStopping) throw new Stopped();
    this.#events.done(what, Date.now() - start);
    return result;
  }

  /** `ready` is told of each database as soon as it can be used. */
  async #startDatabases(
    hosted: readonly ServiceWithDatabase[],
    ready?: (service: ServiceWithDatabase, url: string) => void,
  ): Promise<DatabaseUrls> {
    if (hosted.length === 0) return {};
    const { dataDir } = this.#options;
    const log = join(dataDir, "logs", "postgres.log");
    await turnLog(log);
    this.#postgres = new EmbeddedPostgres(
      { dataDir: join(dataDir, "postgres"), log },
      this.#programEvents,
    );
    const { superuserUrl } = await this.#postgres.started;
    const secrets = await openSecrets(join(dataDir, "secrets.json"));
    const urls = await hostDatabases(superuserUrl, secrets, ready);
    return Object.fromEntries(hosted.map((service) => [service, urls[service]]));
  }

  async #startCompact(): Promise<void> {
    const databaseUrls = await this.#step(DATABASES_STEP, () =>
      this.#startDatabases(servicesToHost(process.env)),
    );
    await this.#step("all programs, in one process", () =>
      this.#startSpecs([compactSpec({ ...this.#shared, databaseUrls })]),
    );
  }

  /** A process for each program, which starts as soon as there is what it needs. */
  async #startApart(): Promise<void> {
    const { replicas } = this.#options;
    const hosted = servicesToHost(process.env);
    const urls = new Map(hosted.map((service) => [service, Promise.withResolvers<string>()]));
    const databases = this.#step(DATABASES_STEP, () =>
      this.#startDatabases(hosted, (service, url) => urls.get(service)?.resolve(url)),
    );
    const discovery = this.#step("discovery", () => this.#startDiscovery());
    const start = async (name: Exclude<ProgramName, "discovery">) => {
      const discoveryAddresses = await discovery;
      const databaseUrls = name === "gateway" ? {} : { [name]: await urls.get(name)?.promise };
      await this.#startSpecs(specsOf(name, { ...this.#shared, databaseUrls, discoveryAddresses }));
    };
    const others = PROGRAMS.filter((name) => name !== "discovery");
    const names = others.map((name) => name + (replicas[name] > 1 ? ` ×${replicas[name]}` : ""));
    const programs = this.#step(names.join(", "), () => Promise.all(others.map(start)));
    await Promise.all([databases, programs]);
  }

  async #startDiscovery(): Promise<string[]> {
    const shared = { ...this.#shared, databaseUrls: {}, discoveryAddresses: [] };
    await this.#startSpecs(specsOf("discovery", shared));
    return this.instances.map(({ address }) => address);
  }

  get #shared() {
    return { root: this.#root, options: this.#options, gatewayFd: this.#socket?.fd() };
  }

  async #startSpecs(specs: readonly ProgramSpec[]): Promise<void> {
    await Promise.all(specs.map(({ log }) => turnLog(log)));
    if (this.#isStopping) throw new Stopped();
    const programs = specs.map((spec) => new Program(spec, this.#programEvents));
    this.#programs.push(...programs);
    await Promise.all(programs.map(({ started }) => started));
  }

  get #programEvents(): ProgramEvents {
    return {
      changed: () => {
        if (this.#isUp && !this.#isStopping) void this.#writeRunFile();
      },
      said: (sentence) => this.#events.said(sentence),
    };
  }

  // One after the other, so that the last state is the one that stays.
  #writeRunFile(): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      const { compact } = this.#options;
      const run: RunFile = { url: this.url, compact, processes: this.processes };
      const text = JSON.stringify(run, null, 2);
      await writeWhole(this.#runFile, `${text}\n`).catch((error: Error) =>
        this.#events.said(`${relative(".", this.#runFile)} was not written: ${error.message}`),
      );
    });
    return this.#writing;
  }

  async #loadDemo(): Promise<void> {
    const { dataDir } = this.#options;
    const start = Date.now();
    try {
      const loaded = await loadDemo(this.url, dataDir);
      if (loaded !== undefined) this.#events.done(loaded, Date.now() - start);
    } catch (error) {
      if (this.#isStopping) throw new Stopped();
      // The shop is usable without it, and the next start goes on where this one ended.
      this.#events.said(`The demo catalogue was not loaded whole: ${sentence(error)}`);
    }
  }
}
