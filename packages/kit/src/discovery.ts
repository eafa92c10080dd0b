/**
 * Finding others. (Being found is in registration.ts.)
 *
 * Discovery instances know nothing of each other. A program heartbeats to every one of them and
 * watches all of them; what it sees is the union of their lists, and while none answers it goes on
 * with what it last saw.
 */
import { setTimeout as pause } from "node:timers/promises";
import { DiscoveryServiceService, type Instance } from "@piata/contracts/discovery";
import type { LocalNetwork } from "./local.js";
import type { Log } from "./log.js";
import { Channel } from "./rpc-client.js";
import type { InstanceSource } from "./target.js";
import type { Tls } from "./tls.js";

const RETRY_MS_MAX = 1_000;
/** Longer than a discovery that is well is silent. */
const SILENT_MS = 2_500;

type Listener = (instances: Instance[]) => void;

export interface WatcherOptions {
  /** Who watches. */
  caller: string;
  tls?: Tls | undefined;
  /** What `local:///` addresses are found in. */
  network?: LocalNetwork | undefined;
  log: Log;
}

/**
 * Where every instance is, as far as any discovery instance knows; kept up to date by their
 * streams.
 */
export class DiscoveryWatcher implements InstanceSource {
  readonly #channels: Channel[];
  readonly #log: Log;
  /** What each discovery instance said last; an entry stays when its discovery is gone. */
  readonly #seen = new Map<Channel, Instance[]>();
  readonly #alive = new Set<Channel>();
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #stop = new AbortController();
  readonly #watching: Promise<void>[];

  constructor(addresses: string[], { log, ...to }: WatcherOptions) {
    this.#log = log;
    this.#channels = addresses.map(
      (target) => new Channel({ service: "discovery", target, ...to }),
    );
    this.#watching = this.#channels.map((channel) => this.#watch(channel));
  }

  /** Where a service is now. */
  instances(service: string): Instance[] {
    const lists = this.#alive.size > 0 ? [...this.#alive] : this.#channels;
    const found = new Map<string, Instance>();
    for (const channel of lists) {
      for (const instance of this.#seen.get(channel) ?? []) {
        if (instance.service === service) found.set(instance.id, instance);
      }
    }
    return [...found.values()];
  }

  /** Calls the listener soon, and again whenever something changes. Returns how to end that. */
  subscribe(service: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(service) ?? new Set();
    this.#listeners.set(service, listeners.add(listener));
    setImmediate(() => listeners.has(listener) && listener(this.instances(service)));
    return () => listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    for (const channel of this.#channels) channel.close();
    await Promise.all(this.#watching);
  }

  async #watch(channel: Channel): Promise<void> {
    const { signal } = this.#stop;
    let retryMs = 50;
    while (!signal.aborted) {
      // One that hangs keeps its connection: only its silence shows that its list is old.
      const silence = new AbortController();
      const silent = setTimeout(() => silence.abort(), SILENT_MS);
      try {
        const either = AbortSignal.any([signal, silence.signal]);
        const listings = channel.client(DiscoveryServiceService).watch({}, either);
        for await (const listing of listings) {
          silent.refresh();
          const { instances, settled, withdrawnIds } = listing;
          // One that has just started has not heard from everyone yet; others may have.
          const kept = settled ? [] : this.#keptFor(channel);
          const told = new Set([...instances.map(({ id }) => id), ...withdrawnIds]);
          this.#seen.set(channel, [...instances, ...kept.filter(({ id }) => !told.has(id))]);
          this.#alive.add(channel);
          if (settled) this.#forgetLost();
          retryMs = 50;
          this.#tell();
        }
        if (silence.signal.aborted) throw new Error(`it said nothing for ${SILENT_MS} ms`);
      } catch (error) {
        if (!signal.aborted && this.#alive.has(channel)) {
          this.#log.warn({ reason: (error as Error).message }, "lost a discovery instance");
        }
      } finally {
        clearTimeout(silent);
      }
      this.#alive.delete(channel);
      if (this.#alive.size > 0) {
        // What the others say counts alone from here on, also when this one is back.
        this.#seen.delete(channel);
        this.#tell();
      }
      await pause(retryMs, undefined, { signal }).catch(() => undefined);
      retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
    }
  }

  /** What an unsettled list is added to: what was known last, unless another one knows better. */
  #keptFor(channel: Channel): Instance[] {
    const isAlone = this.#alive.size === 0 || (this.#alive.size === 1 && this.#alive.has(channel));
    return isAlone ? [...this.#seen.values()].flat() : [];
  }

  /** Lists of discoveries that are gone must not come back when the last one goes, too. */
  #forgetLost(): void {
    for (const channel of this.#seen.keys()) {
      if (!this.#alive.has(channel)) this.#seen.delete(channel);
    }
  }

  #tell(): void {
    for (const [service, listeners] of this.#listeners) {
      const instances = this.instances(service);
      for (const listener of listeners) listener(instances);
    }
  }
}
