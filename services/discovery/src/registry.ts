/**
 * Who is running where: leases in memory, and nothing else. An instance is listed as long as it
 * keeps saying so. A registry that has just started has not heard from everyone yet and says that,
 * too.
 */
import type { Instance } from "@piata/contracts/discovery";
import { invalidArgument, resourceExhausted } from "@piata/kit/errors";

const INSTANCES_MAX = 10_000;
const ADDRESS = /^[^\s/]{1,255}:\d{1,5}$/;
const SERVICE = /^[a-z][a-z0-9-]{0,62}$/;

interface Lease {
  instance: Instance;
  endsMs: number;
}

/**
 * Everyone who is listed. An unsettled list adds to what its reader knew and takes nothing away but
 * what withdrew.
 */
export interface Listing {
  instances: Instance[];
  settled: boolean;
  withdrawnIds: string[];
}

/** The leases of all instances that are listed. */
export class Registry {
  readonly leaseMs: number;
  readonly #now: () => number;
  readonly #settledMs: number;
  readonly #leases = new Map<string, Lease>();
  /** When to forget that an instance withdrew. */
  readonly #withdrawn = new Map<string, number>();
  readonly #watchers = new Set<(listing: Listing) => void>();
  #telling = false;

  /** `now` is a clock in milliseconds that never goes back. */
  constructor(leaseMs: number, now: () => number = () => performance.now()) {
    this.leaseMs = leaseMs;
    this.#now = now;
    this.#settledMs = now() + leaseMs;
  }

  /**
   * Lists an instance for the lease's time. Throws INVALID_ARGUMENT / INSTANCE_INVALID;
   * RESOURCE_EXHAUSTED / TOO_MANY_INSTANCES.
   */
  heartbeat(instance: Instance | undefined): void {
    if (!instance || !wellFormed(instance)) {
      throw invalidArgument("INSTANCE_INVALID", "An instance has an id, a service and host:port.", {
        field: "instance",
      });
    }
    const known = this.#leases.get(instance.id);
    if (!known && this.#leases.size >= INSTANCES_MAX) {
      throw resourceExhausted("TOO_MANY_INSTANCES", `At most ${INSTANCES_MAX} are listed.`);
    }
    this.#leases.set(instance.id, { instance, endsMs: this.#now() + this.leaseMs });
    if (!known || known.instance.address !== instance.address) this.#tell();
  }

  withdraw(instanceId: string): void {
    if (this.#leases.delete(instanceId)) {
      this.#withdrawn.set(instanceId, this.#now() + this.leaseMs);
      this.#tell();
    }
  }

  /** Takes those off the list whose lease is over. */
  sweep(): void {
    const now = this.#now();
    for (const [id, { endsMs }] of this.#leases) {
      if (endsMs < now) {
        this.#leases.delete(id);
        this.#tell();
      }
    }
    for (const [id, endsMs] of this.#withdrawn) if (endsMs < now) this.#withdrawn.delete(id);
  }

  listing(): Listing {
    const instances = [...this.#leases.values()].map(({ instance }) => instance);
    return {
      instances,
      settled: this.#now() >= this.#settledMs,
      withdrawnIds: [...this.#withdrawn.keys()],
    };
  }

  /** Calls the watcher after every change. Returns how to end that. */
  watch(watcher: (listing: Listing) => void): () => void {
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

const wellFormed = ({ id, service, address, httpAddress }: Instance): boolean =>
  id.length > 0 &&
  id.length <= 100 &&
  SERVICE.test(service) &&
  ADDRESS.test(address) &&
  (httpAddress === "" || ADDRESS.test(httpAddress));
