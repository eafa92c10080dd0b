/** From where somebody signs in: an address, its network, and what their program calls itself. */
import type { Client } from "@piata/contracts/access";
import { addressIn, networkOf } from "@piata/kit/ip-address";

/** In code units. */
const USER_AGENT_LENGTH_MAX = 200;

export interface Origin {
  /** Undefined when what was told is no IP address. */
  address: string | undefined;
  /** What is counted and known as one place: the address, or the first one of an IPv6 /64. */
  network: string | undefined;
  userAgent: string | undefined;
}

export function originOf({ address, userAgent }: Client = { address: "", userAgent: "" }): Origin {
  const known = addressIn(address);
  return {
    address: known,
    network: known && networkOf(known),
    // PostgreSQL stores no zero characters, and a terminal should not be steered by the others.
    userAgent: userAgent.replace(/\p{C}/gu, "").slice(0, USER_AGENT_LENGTH_MAX) || undefined,
  };
}
