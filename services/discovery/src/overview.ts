/** What a person may want to know about the instances; GET /v1/services is this as JSON. */
import type { Load } from "@piata/contracts/discovery";
import { listable } from "./health.js";
import type { InstanceEvent, Journal } from "./journal.js";
import type { Entry, Registry } from "./registry.js";

export interface Overview {
  /** The discovery instance that says all this. */
  discovery: {
    version: string;
    uptimeSeconds: number;
    /** False while it is younger than a lease and may not have heard from everyone. */
    settled: boolean;
    leaseMs: number;
    /** Programs that follow its list. */
    watchers: number;
  };
  /** By name. */
  services: ServiceOverview[];
  /** What happened lately, the newest first. */
  events: readonly InstanceEvent[];
}

export interface ServiceOverview {
  service: string;
  /** By address. */
  instances: InstanceOverview[];
}

export interface InstanceOverview {
  id: string;
  address: string;
  httpAddress: string;
  version: string;
  health: "HEALTHY" | "UNHEALTHY" | "UNPROBED";
  /** Why it is not healthy; else "". */
  reason: string;
  healthSinceSeconds: number;
  /** Whether callers are told of it. */
  listed: boolean;
  /** By the instance's own clock; null when it does not say. */
  startedAt: Date | null;
  uptimeSeconds: number | null;
  lastHeartbeatSecondsAgo: number;
  /** Null when it does not say. */
  load: Load | null;
}

export interface OverviewOptions {
  registry: Registry;
  journal: Journal;
  version: string;
  /** When this discovery instance started, by `now`. */
  startMs: number;
  /** The clock of the registry. */
  now?: () => number;
}

/** The overview as it is now. */
export function overviewOf(options: OverviewOptions): Overview {
  const { registry, journal, version, startMs, now = () => performance.now() } = options;
  const nowMs = now();
  const services = [...registry.services()]
    .map(([service, entries]) => serviceOf(service, entries, nowMs))
    .sort((one, other) => compare(one.service, other.service));
  const { settled, leaseMs, watchers } = registry;
  const uptimeSeconds = secondsFrom(startMs, nowMs);
  return {
    discovery: { version, uptimeSeconds, settled, leaseMs, watchers },
    services,
    events: journal.events,
  };
}

function serviceOf(service: string, entries: Entry[], nowMs: number): ServiceOverview {
  const listed = new Set(listable(entries));
  const instances = entries
    .map((entry) => instanceOf(entry, listed.has(entry), nowMs))
    .sort((one, other) => compare(one.address, other.address));
  return { service, instances };
}

function instanceOf(
  { instance, health, heardMs, load }: Entry,
  listed: boolean,
  nowMs: number,
): InstanceOverview {
  const { id, address, httpAddress, version, startedAt = null } = instance;
  return {
    id,
    address,
    httpAddress,
    version,
    health: healthName(health.state),
    reason: health.why,
    healthSinceSeconds: secondsFrom(health.sinceMs, nowMs),
    listed,
    startedAt,
    uptimeSeconds: startedAt && secondsFrom(startedAt.getTime(), Date.now()),
    lastHeartbeatSecondsAgo: secondsFrom(heardMs, nowMs),
    load: load ?? null,
  };
}

/** A state as people and metrics see it. */
export const healthName = (state: Entry["health"]["state"]): InstanceOverview["health"] =>
  state === "SILENT" || state === "DOWN" ? "UNHEALTHY" : state;

// Clocks of two machines need not agree: nothing is younger than nothing.
const secondsFrom = (startMs: number, endMs: number): number =>
  Math.max(0, Math.round(endMs - startMs) / 1000);

const compare = (one: string, other: string): number =>
  one.localeCompare(other, "en", { numeric: true });
