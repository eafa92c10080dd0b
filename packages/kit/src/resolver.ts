/** How grpc-js is told where the instances behind a target are: by one scheme, for all targets. */
import { isIPv6 } from "node:net";
import { type ChannelOptions, experimental, Metadata, status } from "@grpc/grpc-js";

/** Who knows where the instances behind a target are. */
export interface AddressSource {
  /**
   * Calls the listener soon with every host:port, and again when they change. Returns how to end
   * that.
   */
  subscribe(listener: (addresses: readonly string[]) => void): () => void;
}

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

/** Host and port of "host:port" or "[::1]:port". */
export function splitAddress(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(":");
  const host = address.slice(0, at).replace(/^\[(.*)\]$/, "$1");
  return { host, port: Number(address.slice(at + 1)) };
}

/** "host:port", as grpc-js names the peer of a call. */
export const joinAddress = (host: string, port: number): string =>
  isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;

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
