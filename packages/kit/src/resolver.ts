/** How grpc-js is told where the instances behind a target are: by one scheme, for all targets. */
import { type ChannelOptions, experimental, Metadata, status } from "@grpc/grpc-js";
import { type AddressSource, splitAddress } from "./address.js";

/** The channel option that carries the source; grpc-js' registry of schemes is global. */
const SOURCE_OPTION = "piata.address_source";
const SCHEME = "piata";
/** So long may it take until the first instance is known; then calls fail instead of waiting. */
const UNKNOWN_MS = 1_000;

let schemeRegistered = false;

/** The target and the options by which grpc-js finds a service's instances through a source. */
export function targetOf(service: string, source: AddressSource): [string, ChannelOptions] {
  if (!schemeRegistered) experimental.registerResolver(SCHEME, SourceResolver as never);
  schemeRegistered = true;
  return [`${SCHEME}:///${service}`, { [SOURCE_OPTION]: source as never }];
}

class SourceResolver {
  readonly #service: string;
  readonly #listener: experimental.ResolverListener;
  readonly #source: AddressSource;
  #unsubscribe: (() => void) | undefined;
  #unknown: NodeJS.Timeout | undefined;
  #last = "";

  constructor(
    target: { path: string },
    listener: experimental.ResolverListener,
    options: ChannelOptions,
  ) {
    this.#service = target.path.replace(/^\/+/, "");
    this.#listener = listener;
    this.#source = options[SOURCE_OPTION] as AddressSource;
  }

  static getDefaultAuthority(target: { path: string }): string {
    return target.path.replace(/^\/+/, "");
  }

  // grpc-js asks again whenever a connection breaks; the source tells by itself what it learns.
  updateResolution(): void {
    if (this.#unsubscribe) return;
    this.#unknown = setTimeout(() => this.#tellUnknown(), UNKNOWN_MS).unref();
    this.#unsubscribe = this.#source.subscribe((addresses) => this.#tell(addresses));
  }

  destroy(): void {
    clearTimeout(this.#unknown);
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#last = "";
  }

  #tell(addresses: readonly string[]): void {
    // An empty list keeps the last one: it is better to try than to fail for certain.
    if (addresses.length === 0) return;
    const sorted = addresses.toSorted();
    // grpc-js builds its balancer anew for each list, and much news is about other services.
    if (sorted.join() === this.#last) return;
    this.#last = sorted.join();
    clearTimeout(this.#unknown);
    const endpoints = sorted.map((address) => ({ addresses: [splitAddress(address)] }));
    this.#listener(experimental.statusOrFromValue(endpoints), {}, null, "");
  }

  #tellUnknown(): void {
    const details = `no instance of ${this.#service} is known`;
    const error = { code: status.UNAVAILABLE, details, metadata: new Metadata() };
    this.#listener(experimental.statusOrFromError(error), {}, null, "");
  }
}
