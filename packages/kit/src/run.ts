/** The life of a program: read the configuration, start, be found, drain, stop. */
import { randomUUID } from "node:crypto";
import type { Provider, Type } from "@nestjs/common";
import { Probe } from "@piata/contracts/discovery";
import {
  ConfigError,
  type ConfigOf,
  type commonSettings,
  readConfig,
  type Settings,
} from "./config.js";
import { DiscoveryWatcher } from "./discovery.js";
import { openHttp, type Pages } from "./http.js";
import { LoadMeter } from "./load-meter.js";
import { type Log, openLog } from "./log.js";
import { Metrics } from "./metrics.js";
import type { Passports } from "./passport.js";
import type { ProgramServer } from "./program-server.js";
import { Registration } from "./registration.js";
import { Channel } from "./rpc-client.js";
import { startRpcServer } from "./rpc-server.js";
import { isOfDiscovery } from "./target.js";
import { openTls, type Tls } from "./tls.js";
import { startTracing } from "./tracing.js";

/** sysexits.h: the configuration is wrong, so starting again would not help. */
const EX_CONFIG = 78;
/** How long a start waits for the first heartbeat; discovery may be away. */
const LISTED_MS = 500;
/**
 * What a stop may take beside draining and finishing; then it hangs, and is ended with a word about
 * it, by default after 11 s: before the launcher kills at 12 s.
 */
const STOP_REST_MS = 2_700;

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
export interface Program<S extends Settings> {
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

/**
 * Runs a program until SIGTERM or SIGINT, or until the launcher that started it is gone. Exits with
 * 78 and a list of faults when the configuration is wrong.
 */
export async function run<S extends Settings & Common>(
  name: string,
  settings: S,
  start: (program: Program<S>) => Promise<Serving | ProgramServer>,
): Promise<void> {
  const stops: (() => Promise<void> | void)[] = [];
  try {
    const config = readConfig(settings);
    const common = config as ConfigOf<Common>;
    const log = openLog(name, common.logLevel);
    let running: Running | undefined;
    // Before it serves there is nothing to finish.
    const stopMs = common.drainMs + common.finishMs + STOP_REST_MS;
    stopOnSignal(log, stopMs, async () => running?.stop());
    running = await launch({ name, config, common, log, stops }, start);
    const { address, httpAddress } = running;
    await running.listed;
    if (process.connected) process.send?.({ type: "ready", address, httpAddress });
  } catch (error) {
    const text = error instanceof ConfigError ? error.message : (error as Error).stack;
    process.stderr.write(`${name}: ${text}\n`);
    process.exit(error instanceof ConfigError ? EX_CONFIG : 1);
  }
}

interface Running {
  address: string;
  httpAddress: string;
  /** Resolves when whoever looks it up can find it, or soon if there is no one to list it. */
  listed: Promise<void>;
  stop(): Promise<void>;
}

interface Launch<S extends Settings> {
  name: string;
  config: ConfigOf<S>;
  common: ConfigOf<Common>;
  log: Log;
  stops: (() => Promise<void> | void)[];
}

async function launch<S extends Settings & Common>(
  { name, config, common, log, stops }: Launch<S>,
  start: (program: Program<S>) => Promise<Serving | ProgramServer>,
): Promise<Running> {
  const metrics = new Metrics(name);
  const instanceId = randomUUID();
  // Before the others, so that it is closed after them and sends what they did.
  stops.push(await startTracing({ ...common, service: name, instanceId, log }));
  const { host, port, httpPort, discoveryAddresses } = common;
  const tls = common.tlsDir
    ? await openTls(`${name.toUpperCase()}_TLS_DIR`, common.tlsDir)
    : undefined;
  let discovery: DiscoveryWatcher | undefined;
  const connect = (service: string, target: string): Channel => {
    if (isOfDiscovery(target) && !discovery && discoveryAddresses.length > 0) {
      discovery = new DiscoveryWatcher(discoveryAddresses, { caller: name, tls, log });
      stops.unshift(() => discovery?.close());
    }
    const channel = new Channel({ service, target, caller: name, tls, discovery, metrics });
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
    ? await startRpcServer({ host, port, log, metrics, tls, ...started })
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
    { log, tls, load: () => meter.load() },
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

function stopOnSignal(log: Log, stopMs: number, stop: () => Promise<void>): void {
  let stopping = false;
  const end = (why: string) => async () => {
    if (stopping) return;
    stopping = true;
    log.info({ why }, "stopping");
    setTimeout(() => {
      log.error({ ms: stopMs }, "did not stop in time");
      process.exit(1);
    }, stopMs).unref();
    try {
      await stop();
      process.exit(0);
    } catch (error) {
      log.error({ err: error }, "did not stop cleanly");
      process.exit(1);
    }
  };
  process.on("SIGTERM", end("SIGTERM"));
  process.on("SIGINT", end("SIGINT"));
  const alone = end("the launcher is gone");
  process.on("disconnect", alone);
  // It may have gone while we started.
  if (process.send && !process.connected) void alone();
}
