/**
 * Where a request comes from. Only proxies that are configured are believed when they say so; what
 * anybody else writes into a forwarded header is nothing.
 */
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { addressIn, networkOf } from "@piata/kit/ip-address";
import type { Log } from "@piata/kit/log";
import { AddressSet } from "./addresses.js";

export interface VisitorsOptions {
  trustedProxies: AddressSet;
  /** Who is never rate limited. */
  rateLimitExempt: AddressSet;
  cookieSecure: "auto" | "on" | "off";
  log: Log;
}

export interface Visitor {
  /** What they are counted by: an IPv4 address or the /64 of an IPv6 one; "" when it is gone. */
  readonly address: string;
  readonly isExempt: boolean;
  /** The request came over TLS, as far as the gateway is told. */
  readonly isSecure: boolean;
  /** The host that a trusted proxy was asked for. */
  readonly forwardedHost: string | undefined;
}

interface Peer {
  address: string;
  isTrusted: boolean;
  /** Where its requests come from unless it says something else and is believed. */
  visitor: Visitor;
}

/** Who is at the other end of a connection, kept on it. */
const PEER = Symbol("peer");

interface Met extends Socket {
  [PEER]?: Peer;
}

/** Peers that are a proxy sooner than a client. */
const NEAR = new AddressSet([
  "127.0.0.0/8",
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "169.254.0.0/16",
  "100.64.0.0/10",
  "::1",
  "fc00::/7",
  "fe80::/10",
]);

/** Proxies in front of each other, at most. */
const HOPS_MAX = 20;

/** Finds out where requests come from. */
export class Visitors {
  readonly #options: VisitorsOptions;
  #hasWarned = false;

  constructor(options: VisitorsOptions) {
    this.#options = options;
  }

  of(request: IncomingMessage): Visitor {
    const { socket, headers } = request;
    const peer = (socket as Met)[PEER] ?? this.#meet(socket);
    if (!peer.isTrusted) {
      if (!this.#hasWarned && headers["x-forwarded-for"] !== undefined) this.#warn(peer);
      return peer.visitor;
    }
    return this.#visitor(this.#clientOf(peer, headers), {
      isSecure: lastOf(headers["x-forwarded-proto"])?.toLowerCase() === "https",
      forwardedHost: lastOf(headers["x-forwarded-host"]),
    });
  }

  #meet(socket: Socket): Peer {
    const address = addressIn(socket.remoteAddress ?? "") ?? "";
    const peer = {
      address,
      isTrusted: this.#options.trustedProxies.has(address),
      visitor: this.#visitor(address, { isSecure: false, forwardedHost: undefined }),
    };
    (socket as Met)[PEER] = peer;
    return peer;
  }

  #visitor(address: string, said: Pick<Visitor, "isSecure" | "forwardedHost">): Visitor {
    const { rateLimitExempt, cookieSecure } = this.#options;
    return {
      address: networkOf(address),
      isExempt: rateLimitExempt.has(address),
      isSecure: cookieSecure === "auto" ? said.isSecure : cookieSecure === "on",
      forwardedHost: said.forwardedHost,
    };
  }

  // From the right: each proxy adds whom it was asked by, and what is left of the first stranger is
  // what that stranger wrote.
  #clientOf(peer: Peer, headers: IncomingHttpHeaders): string {
    let { address } = peer;
    for (const hop of listed(headers["x-forwarded-for"]).reverse().slice(0, HOPS_MAX)) {
      const next = addressIn(hop);
      if (next === undefined) return address;
      address = next;
      if (!this.#options.trustedProxies.has(address)) return address;
    }
    return address;
  }

  #warn({ address }: Peer): void {
    if (!NEAR.has(address)) return;
    this.#hasWarned = true;
    this.#options.log.warn(
      { address },
      "X-Forwarded-For is not believed: if this is a proxy of yours, name it in GATEWAY_TRUSTED_PROXIES",
    );
  }
}

const listed = (header: string | string[] | undefined): string[] =>
  header === undefined
    ? []
    : String(header)
        .split(",")
        .map((word) => word.trim());

// The last one is what the nearest proxy says.
const lastOf = (header: string | string[] | undefined): string | undefined =>
  listed(header).at(-1) || undefined;
