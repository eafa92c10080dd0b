/** From where somebody signs in: an address, its network, and what their program calls itself. */
import { isIPv4, isIPv6 } from "node:net";
import type { Client } from "@piata/contracts/access";

/** In code units. */
const USER_AGENT_LENGTH_MAX = 200;

export interface Origin {
  /** Undefined when what was told is no IP address. */
  address: string | undefined;
  /** What is counted and known as one place: an IPv4 address, or the /64 of an IPv6 address. */
  network: string | undefined;
  userAgent: string | undefined;
}

export function originOf({ address, userAgent }: Client = { address: "", userAgent: "" }): Origin {
  // Without its zone, which says something on one machine only.
  const bare = address.slice(0, 100).replace(/%.*/s, "");
  const network = networkOf(bare);
  return {
    address: network && bare,
    network,
    // PostgreSQL stores no zero characters, and a terminal should not be steered by the others.
    userAgent: userAgent.replace(/\p{C}/gu, "").slice(0, USER_AGENT_LENGTH_MAX) || undefined,
  };
}

/** Who has an IPv6 address commonly has its whole /64, and could guess from each address of it. */
function networkOf(address: string): string | undefined {
  if (isIPv4(address)) return address;
  if (!isIPv6(address)) return undefined;
  const groups = groupsOf(address);
  const [high, low] = groups.slice(6) as [number, number];
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (isMapped) return [high >> 8, high & 255, low >> 8, low & 255].join(".");
  const prefix = groups.slice(0, 4).map((group) => group.toString(16));
  return `${prefix.join(":")}::/64`;
}

function groupsOf(address: string): number[] {
  // The URL standard's way of writing it: no dotted part, and at most one "::".
  const text = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = [], tail = []] = text
    .split("::")
    .map((part) => (part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16))));
  return [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}
