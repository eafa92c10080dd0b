/** Where programs listen: "host:port", and who knows the addresses behind a name. */
import { isIPv6 } from "node:net";

/** Who knows where the instances behind a target are. */
export interface AddressSource {
  /**
   * Calls the listener soon with every host:port, and again when they change. Returns how to end
   * that.
   */
  subscribe(listener: (addresses: readonly string[]) => void): () => void;
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
