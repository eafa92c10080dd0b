/**
 * Who is running where: leases in memory, and nothing else. An instance is listed as long as it
 * keeps saying so and its probes do not say otherwise. A registry that has just started has not
 * heard from everyone yet and says that, too.
 */
import type { Instance, Load, WatchResponse } from "@piata/contracts/discovery";
import { resourceExhausted } from "@piata/kit/errors";
import { afterProbe, type Health, listable, type Outcome, unprobed } from "./health.js";
import { sameInstance, wellFormedInstance, wellFormedLoad } from "./instance.js";

const INSTANCES_MAX = 10_000;
const ID_LENGTH_MAX = 100;
/** A registry that has not swept for so long was paused, and heard no heartbeat meanwhile. */
const PAUSED_MS = 500;

/** An instance with a lease. */
export interface Entry {
  instance: Instance;
  load: Load | undefined;
  health: Health;
  heardMs: number;
  endsMs: number;
}

export interface RegistryOptions {
  leaseMs: number;
  /** A clock in milliseconds that never goes back. */
  now?: () => number;
  /** Told of everything that happens to an instance, in a few words. */
  note?: (instance: Instance, what: string) => void;
}

/** The leases of all instances. */
export class Registry {
  readonly leaseMs: number;
  readonly #now: () => number;
  readonly #note: (instance: Instance, what: string) => void;
  readonly #settledMs: number;
  readonly #entries = new Map<string, Entry>();
  /** When to forget that an instance withdrew. */
  readonly #withdrawn = new Map<string, number>();
  readonly #watchers = new Set<(listing: WatchResponse) => void>();
  #sweptMs: number;
  #telling = false;

  constructor({ leaseMs, now = () => performance.now(), note = () => {} }: RegistryOptions) {
    this.leaseMs = leaseMs;
    this.#now = now;
    this.#note = note;
    this.#sweptMs = now();
    this.#settledMs = now() + leaseMs;
  }

  /**
   * Grants an instance a lease, or renews it. Throws INVALID_ARGUMENT / INSTANCE_INVALID;
   * RESOURCE_EXHAUSTED / TOO_MANY_INSTANCES.
   */
  heartbeat(said: Instance | undefined, load?: Load): void {
    const instance = wellFormedInstance(said);
    wellFormedLoad(load);
    // It was overtaken on the way by the word that the instance is leaving.
    if (this.#withdrawn.has(instance.id)) return;
    const known = this.#entries.get(instance.id);
    if (!known && this.#entries.size >= INSTANCES_MAX) {
      throw resourceExhausted("TOO_MANY_INSTANCES", `At most ${INSTANCES_MAX} are listed.`);
    }
    const heardMs = this.#now();
    const lease = { load, heardMs, endsMs: heardMs + this.leaseMs };
    if (known && sameInstance(known.instance, instance)) {
      Object.assign(known, lease);
      return;
    }
    this.#entries.set(instance.id, { instance, health: unprobed(heardMs), ...lease });
    this.#note(instance, known ? "changed" : "registered");
    this.#tell();
  }

  find(instanceId: string): Instance | undefined {
    return this.#entries.get(instanceId)?.instance;
  }

  /** Takes an instance off the list; known or not, it does not come back. */
  withdraw(instanceId: string): void {
    if (instanceId.length > ID_LENGTH_MAX) return;
    const known = this.#entries.get(instanceId);
    this.#entries.delete(instanceId);
    if (this.#withdrawn.size < INSTANCES_MAX) {
      this.#withdrawn.set(instanceId, this.#now() + this.leaseMs);
    }
    if (known) this.#note(known.instance, "withdrew");
    // Watchers of a list that is not settled may still go by what a discovery before us said.
    if (known || !this.settled) this.#tell();
  }

  /** What a probe of an instance said. Ignored when the instance has changed or gone meanwhile. */
  probed(instance: Instance, outcome: Outcome): void {
    const entry = this.#entries.get(instance.id);
    if (entry?.instance !== instance) return;
    const before = entry.health;
    entry.health = afterProbe(before, outcome, this.#now());
    const { state, why } = entry.health;
    if (state === before.state) return;
    this.#tell();
    if (state !== "HEALTHY") this.#note(instance, `unhealthy: ${why}`);
    else if (before.state !== "UNPROBED") this.#note(instance, "healthy again");
  }

  /** Ends the leases that are over. To be called several times a second. */
  sweep(): void {
    const now = this.#now();
    const pausedMs = now - this.#sweptMs;
    this.#sweptMs = now;
    if (pausedMs > PAUSED_MS) {
      for (const entry of this.#entries.values()) entry.endsMs += pausedMs;
      return;
    }
    for (const [id, { instance, endsMs, heardMs }] of this.#entries) {
      if (endsMs >= now) continue;
      this.#entries.delete(id);
      this.#note(instance, `lost: no heartbeat for ${((now - heardMs) / 1000).toFixed(1)} s`);
      this.#tell();
    }
    for (const [id, endsMs] of this.#withdrawn) if (endsMs < now) this.#withdrawn.delete(id);
  }

  /** Everyone with a lease, healthy or not, by service. */
  services(): Map<string, Entry[]> {
    return Map.groupBy(this.#entries.values(), ({ instance }) => instance.service);
  }

  instances(): Instance[] {
    return [...this.#entries.values()].map(({ instance }) => instance);
  }

  /**
   * Everyone who is listed. An unsettled list adds to what its reader knew and takes nothing away
   * but what is off for certain.
   */
  listing(): WatchResponse {
    const listed = new Set([...this.services().values()].flatMap(listable));
    const unlisted = [...this.#entries.values()].filter((entry) => !listed.has(entry));
    return {
      instances: [...listed].map(({ instance }) => instance),
      settled: this.settled,
      withdrawnIds: [...this.#withdrawn.keys(), ...unlisted.map(({ instance }) => instance.id)],
    };
  }

  get settled(): boolean {
    return this.#now() >= this.#settledMs;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  /** Calls the watcher after every change. Returns how to end that. */
  watch(watcher: (listing: WatchResponse) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  // Changes of one turn of the event loop are told once.
  #tell(): void {
    if (this.#telling) return;
    this.#telling = true;
    setImmediate(() => {
      this.#telling = false;
      const listing = this.listing();
      for (const watcher of this.#watchers) watcher(listing);
    });
  }
}
