/** How grpc-js finds the addresses behind `discovery:///service`. */
import { type ChannelOptions, experimental } from "@grpc/grpc-js";

/** Who knows where the instances of a service are. */
export interface InstanceSource {
  /** Calls the listener soon, and again whenever something changes. Returns how to end that. */
  subscribe(service: string, listener: (instances: { address: string }[]) => void): () => void;
}

/**
 * The channel option that carries the source to the resolver; grpc-js' registry of schemes is
 * global.
 */
export const SOURCE_OPTION = "piata.instance_source";

let schemeRegistered = false;

/** Teaches grpc-js the `discovery:///service` targets. */
export function registerDiscoveryScheme(): void {
  if (schemeRegistered) return;
  schemeRegistered = true;
  experimental.registerResolver("discovery", DiscoveryResolver as never);
}

class DiscoveryResolver {
  readonly #service: string;
  readonly #listener: experimental.ResolverListener;
  readonly #source: InstanceSource;
  #unsubscribe: (() => void) | undefined;
  #last = "";

  constructor(
    target: { path: string },
    listener: experimental.ResolverListener,
    options: ChannelOptions,
  ) {
    this.#service = target.path.replace(/^\/+/, "");
    this.#listener = listener;
    this.#source = options[SOURCE_OPTION] as InstanceSource;
    if (!this.#source) throw new Error(`discovery:///${this.#service} needs DISCOVERY_ADDRESSES.`);
  }

  static getDefaultAuthority(target: { path: string }): string {
    return target.path.replace(/^\/+/, "");
  }

  updateResolution(): void {
    this.#unsubscribe ??= this.#source.subscribe(this.#service, (instances) => {
      // An empty list keeps the last one: it is better to try than to fail for certain.
      if (instances.length === 0) return;
      const addresses = instances.map(({ address }) => address).sort();
      // grpc-js builds its balancer anew for each list, and most news is about other services.
      if (addresses.join() === this.#last) return;
      this.#last = addresses.join();
      const endpoints = addresses.map((address) => {
        const at = address.lastIndexOf(":");
        return { addresses: [{ host: address.slice(0, at), port: Number(address.slice(at + 1)) }] };
      });
      this.#listener(experimental.statusOrFromValue(endpoints), {}, null, "");
    });
  }

  destroy(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#last = "";
  }
}
