/** Lists of internet addresses. */
import { BlockList, isIP, isIPv6 } from "node:net";

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
