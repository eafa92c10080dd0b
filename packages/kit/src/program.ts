/** What a program is: a name, settings, and how it starts; by itself or beside others. */
import { randomUUID } from "node:crypto";
import type { Provider, Type } from "@nestjs/common";
import { Probe } from "@piata/contracts/discovery";
import { type ConfigOf, type commonSettings, readConfig, type Settings } from "./config.js";
import { DiscoveryWatcher } from "./discovery.js";
import { openHttp, type Pages } from "./http.js";
import { LoadMeter } from "./load-meter.js";
import type { LocalNetwork } from "./local.js";
import { type Log, openLog } from "./log.js";
import { Metrics } from "./metrics.js";
import type { Passports } from "./passport.js";
import type { ProgramServer } from "./program-server.js";
import { Registration } from "./registration.js";
import { Channel } from "./rpc-client.js";
import { isOfDiscovery } from "./target.js";
import { openTls, type Tls } from "./tls.js";
import { startTracing } from "./tracing.js";

/** How long a start waits for the first heartbeat; discovery may be away. */
const LISTED_MS = 500;

type Common = ReturnType<typeof commonSettings>;

/** What a program serves. */
export interface Serving {
  services: Record<string, object>;
  controllers: Type[];
  providers: Provider[];
  /** What its users are known by; needed when it serves any. */
  passports?: Passports;
  /** What its HTTP port shows beside /healthz and /metrics. */
  pages?: Pages;
}

/** What a program is given to start with. */
export interface Given<S extends Settings> {
  config: ConfigOf<S>;
  log: Log;
  metrics: Metrics;
  /** Its certificate, when it has one. */
  tls: Tls | undefined;
  /** A channel to a neighbour; closed at the end. */
  connect(service: string, target: string): Channel;
  /** What must be closed at the end, last first. */
  onStop(close: () => Promise<void> | void): void;
}

/** A process that several programs share. */
export interface Host {
  network: LocalNetwork;
  /** Whether this program's metrics have those of the process; one of them does. */
  showsProcess: boolean;
}

/** A program that serves. */
export interface Running {
  address: string;
  httpAddress: string;
  /** Resolves when whoever looks it up can find it, or soon if there is no one to list it. */
  listed: Promise<void>;
  stop(): Promise<void>;
}

/** A program that knows its settings. */
export interface Opened {
  log: Log;
  /** Where traces go, if anywhere, and what says which process they are from. */
  tracing: Omit<Parameters<typeof startTracing>[0], "service" | "instanceId">;
  /** What draining and finishing may take, in milliseconds. */
  endMs: number;
  /** Starts it; beside others, when there is a host. */
  launch(host?: Host): Promise<Running>;
}

/** A program that does not run yet. */
export interface Program {
  name: string;
  /** Throws ConfigError with all that is wrong. */
  open(env?: NodeJS.ProcessEnv): Opened;
}

/** Starts a program with what it is given. */
export type Start<S extends Settings> = (given: Given<S>) => Promise<Serving | ProgramServer>;

/** A program of this name, which is started by `start` with its settings' values. */
export const defineProgram = <S extends Settings & Common>(
  name: string,
  settings: S,
  start: Start<S>,
): Program => ({
  name,
  open(env) {
    const config = readConfig(settings, env);
    const common = config as ConfigOf<Common>;
    const log = openLog(name, common.logLevel);
    return {
      log,
      tracing: { ...common, log },
      endMs: common.drainMs + common.finishMs,
      launch: (host) => launch({ name, config, common, log, host }, start),
    };
  },
});

interface Launch<S extends Settings> {
  name: string;
  config: ConfigOf<S>;
  common: ConfigOf<Common>;
  log: Log;
  host: Host | undefined;
}

async function launch<S extends Settings & Common>(
  { name, config, common, log, host: among }: Launch<S>,
  start: Start<S>,
): Promise<Running> {
  const stops: (() => Promise<void> | void)[] = [];
  const metrics = new Metrics(name, { ofProcess: among?.showsProcess ?? true });
  const instanceId = randomUUID();
  // Before the others, so that it is closed after them and sends what they did.
  if (!among) stops.push(await startTracing({ ...common, service: name, instanceId, log }));
  const { host, port, httpPort, discoveryAddresses } = common;
  const tls = common.tlsDir
    ? await openTls(`${name.toUpperCase()}_TLS_DIR`, common.tlsDir)
    : undefined;
  const to = { caller: name, tls, network: among?.network };
  let discovery: DiscoveryWatcher | undefined;
  const connect = (service: string, target: string): Channel => {
    if (isOfDiscovery(target) && !discovery && discoveryAddresses.length > 0) {
      discovery = new DiscoveryWatcher(discoveryAddresses, { ...to, log });
      stops.unshift(() => discovery?.close());
    }
    const channel = new Channel({ service, target, ...to, discovery, metrics });
    stops.push(() => channel.close());
    return channel;
  };

  const started = await start({
    config,
    log,
    metrics,
    tls,
    connect,
    onStop: (close) => stops.push(close),
  });
  const speaksGrpc = "services" in started;
  const server = speaksGrpc
    ? await serve(started, { name, host, port, log, metrics, tls, network: among?.network })
    : started;
  const pages = speaksGrpc ? started.pages : undefined;
  const http = await openHttp({ host, port: httpPort, metrics, pages });
  const advertised = common.advertisedHost ?? host;
  const address = `${advertised}:${server.port}`;
  const httpAddress = `${advertised}:${http.port}`;
  const meter = new LoadMeter(metrics);
  const registration = new Registration(
    name === "discovery" ? [] : discoveryAddresses,
    {
      id: instanceId,
      service: name,
      address,
      httpAddress,
      version: common.version,
      startedAt: new Date(),
      probe: speaksGrpc ? Probe.GRPC : Probe.HTTP,
    },
    { ...to, log, load: () => meter.load() },
  );
  const stop = async () => {
    // First, so that whoever is turned away by what follows knows where else to go.
    await registration.withdraw();
    http.drain();
    server.drain();
    // Callers that were told in time have gone elsewhere by the end of this pause.
    await new Promise((resolve) => setTimeout(resolve, common.drainMs));
    await server.close(common.finishMs);
    for (const close of stops.reverse()) await close();
    await http.close();
  };
  return { address, httpAddress, listed: registration.tried(LISTED_MS), stop };
}

interface Place {
  name: string;
  host: string;
  port: number;
  log: Log;
  metrics: Metrics;
  tls: Tls | undefined;
  network: LocalNetwork | undefined;
}

async function serve(serving: Serving, { name, network, ...place }: Place) {
  // Nest is a third of a program's memory, and the gateway has no use for it.
  const { startRpcServer } = await import("./rpc-server.js");
  const serveLocally = network?.serve.bind(network, name);
  return startRpcServer({ ...place, ...serving, serveLocally });
}
