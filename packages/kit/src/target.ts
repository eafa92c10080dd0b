/**
 * Where a service is found, by gRPC's naming convention: `discovery:///catalog` (our registry),
 * `dns:///catalog:50051` (every address of a name, such as a headless Kubernetes service),
 * `ipv4:10.0.0.1:50051,10.0.0.2:50051` (just these), or plain `host:port`, which is a name as well
 * unless the host is an IP address. `local:///catalog` is a program of the same process.
 */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { type AddressSource, joinAddress, splitAddress } from "./address.js";
import { ConfigError } from "./config.js";

/** How often names are looked up again: a new replica is called within this time. */
const LOOKUP_MS = 2_000;
const LOOKUP_RETRY_MS = 250;
const IPV4_LIST = /^ipv4:((?:\d{1,3}(?:\.\d{1,3}){3}:\d{1,5}(?:,(?=\d)|$))+)$/;
// A host may be called discovery: with a port alone after the colon it is no scheme.
const OF_DISCOVERY = /^discovery:\/*(?!\d+$)/;
const PLACE = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):\d{1,5}$/;

const OF_PROCESS = /^local:\/\/\//;

/** Who follows the instances of a service; see DiscoveryWatcher. */
export interface InstanceSource {
  subscribe(service: string, listener: (instances: { address: string }[]) => void): () => void;
}

/** All addresses of a name. */
export type Lookup = (host: string) => Promise<string[]>;

const systemLookup: Lookup = async (host) =>
  (await lookup(host, { all: true })).map(({ address }) => address);

/** Whether a target is looked up in discovery. */
export const isOfDiscovery = (target: string): boolean => OF_DISCOVERY.test(target);

/** The program of the same process that a target names; undefined when it names none. */
export const localNameOf = (target: string): string | undefined =>
  OF_PROCESS.test(target) ? target.replace(OF_PROCESS, "") : undefined;

/** The source that a target names. Throws ConfigError. */
export function sourceOf(
  target: string,
  discovery: InstanceSource | undefined,
  find: Lookup = systemLookup,
): AddressSource {
  if (isOfDiscovery(target)) {
    const service = target.replace(OF_DISCOVERY, "");
    if (!discovery) throw new ConfigError(`DISCOVERY_ADDRESSES is missing, and ${target} needs it`);
    return {
      subscribe: (listener) =>
        discovery.subscribe(service, (instances) =>
          listener(instances.map(({ address }) => address)),
        ),
    };
  }
  if (OF_PROCESS.test(target)) return fixed([target]);
  const [, listed] = IPV4_LIST.exec(target) ?? [];
  if (listed !== undefined) return fixed(listed.split(","));
  const place = target.replace(/^dns:(\/\/\/)?/, "");
  if (!PLACE.test(place)) {
    throw new ConfigError(
      `"${target}" is no target: use discovery:///name, dns:///host:port, ipv4:a:port,b:port or host:port`,
    );
  }
  const { host, port } = splitAddress(place);
  return isIP(host) ? fixed([joinAddress(host, port)]) : named(host, port, find);
}

const fixed = (addresses: readonly string[]): AddressSource => ({
  subscribe: (listener) => {
    const told = setImmediate(() => listener(addresses));
    return () => clearImmediate(told);
  },
});

// grpc-js looks a name up again only after a connection has failed, and then at most every 30 s: it
// would never call a replica that was added.
const named = (host: string, port: number, find: Lookup): AddressSource => ({
  subscribe: (listener) => {
    const stop = new AbortController();
    void follow(stop.signal);
    return () => stop.abort();

    async function follow(signal: AbortSignal): Promise<void> {
      let isKnown = false;
      while (!signal.aborted) {
        // While a name cannot be looked up, what was found last still counts.
        const found = await find(host).catch(() => []);
        if (!signal.aborted) listener(found.map((address) => joinAddress(address, port)));
        isKnown ||= found.length > 0;
        const pauseMs = isKnown ? LOOKUP_MS : LOOKUP_RETRY_MS;
        await pause(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
      }
    }
  },
});
