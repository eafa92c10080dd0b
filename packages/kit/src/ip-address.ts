/** Internet addresses: how they are written, and what they are counted as. */
import { isIP, isIPv6, SocketAddress } from "node:net";

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/;
/** "192.0.2.1:80" and "[2001:db8::1]:80", as some proxies write a client. */
const WITH_PORT = /^(?:\[([^\]]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+)$/;

/** The address that a text is, in its one spelling; an IPv4-mapped one is the IPv4 one. */
export function addressIn(text: string): string | undefined {
  const [, bracketed, dotted] = WITH_PORT.exec(text) ?? [];
  const [bare = ""] = (bracketed ?? dotted ?? text).split("%", 1);
  if (isIP(bare) !== 6) return isIP(bare) === 4 ? bare : undefined;
  const { address } = new SocketAddress({ address: bare, family: "ipv6" });
  return MAPPED.exec(address)?.[1] ?? address;
}

/**
 * What counts as one place: an IPv4 address, or the first one of an IPv6 address' /64, because
 * whoever has one of those has all of them. Takes what `addressIn` gives.
 */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = "", tail = ""] = address.split("::");
  const [first, last] = [head, tail].map((part) => part.split(":").filter(Boolean));
  const gap = Array(8 - (first?.length ?? 0) - (last?.length ?? 0)).fill("0");
  const network = [...(first ?? []), ...gap, ...(last ?? [])].slice(0, 4);
  return new SocketAddress({ address: `${network.join(":")}::`, family: "ipv6" }).address;
}
