/** Internet addresses: how they are written, what they are counted as, and lists of them. */
import { BlockList, isIP, isIPv6, SocketAddress } from "node:net";

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
 * What requests are counted by: an IPv4 address, or the first one of an IPv6 address' /64, because
 * whoever has one of those has all of them.
 */
export function countedAddress(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = "", tail = ""] = address.split("::");
  const [first, last] = [head, tail].map((part) => part.split(":").filter(Boolean));
  const gap = Array(8 - (first?.length ?? 0) - (last?.length ?? 0)).fill("0");
  const network = [...(first ?? []), ...gap, ...(last ?? [])].slice(0, 4);
  return new SocketAddress({ address: `${network.join(":")}::`, family: "ipv6" }).address;
}

/** Addresses and networks; an IPv4 one also holds its IPv4-mapped form. */
export class AddressSet {
  readonly #list = new BlockList();
  readonly #words: readonly string[];

  /** Each word is an address or a CIDR. Throws RangeError for one that is neither. */
  constructor(words: readonly string[]) {
    this.#words = words;
    for (const word of words) {
      const [address = "", prefix, ...rest] = word.split("/");
      const [family, bits] = isIPv6(address) ? (["ipv6", 128] as const) : (["ipv4", 32] as const);
      const length = prefix === undefined ? bits : Number(/^\d{1,3}$/.exec(prefix)?.[0] ?? 0);
      if (isIP(address) === 0 || length < 1 || length > bits || rest.length > 0) {
        throw new RangeError("neither an address nor a CIDR");
      }
      this.#list.addSubnet(address, length, family);
    }
  }

  has(address: string): boolean {
    if (this.#words.length === 0) return false;
    const version = isIP(address);
    return version !== 0 && this.#list.check(address, version === 6 ? "ipv6" : "ipv4");
  }

  /** As a setting has it. */
  toString(): string {
    return this.#words.join(",") || "none";
  }
}
