/**
 * Which site a browser's request was made by. Pages of other origins may not call the shop, not even
 * for what they cannot read, unless their origin is in the list (CORS). Programs send neither
 * `Origin` nor `Sec-Fetch-Site` and are not concerned.
 */
import type { IncomingMessage } from "node:http";
import type { HeaderFields } from "./arrival.js";
import type { Visitor } from "./visitor.js";

export interface CrossSiteOptions {
  /** Exact origins, "https://shop.example". */
  corsOrigins: readonly string[];
  /** A browser that navigates to /graphql gets a page. */
  graphiql: boolean;
}

/** `none`: no page of another origin is behind it. */
export type Site = "none" | "allowed" | "foreign";

const METHODS = "GET, POST";
const REQUEST_HEADERS = "content-type, authorization, idempotency-key, traceparent";
const EXPOSED_HEADERS =
  "x-trace-id, retry-after, ratelimit-limit, ratelimit-remaining, ratelimit-reset";
const PREFLIGHT_SECONDS = "600";

export class CrossSite {
  readonly #allowed: ReadonlySet<string>;
  readonly #graphiql: boolean;

  constructor({ corsOrigins, graphiql }: CrossSiteOptions) {
    this.#allowed = new Set(corsOrigins);
    this.#graphiql = graphiql;
  }

  siteOf(request: IncomingMessage, visitor: Visitor): Site {
    const { origin, host = "", "sec-fetch-site": site } = request.headers;
    if (origin !== undefined) {
      if (this.#allowed.has(origin)) return "allowed";
      if (isOwn(origin, visitor.forwardedHost ?? host, visitor.isSecure)) return "none";
    } else if (site === undefined || site === "same-origin" || site === "none") {
      return "none";
    }
    return isImage(request) || this.#getsPage(request) ? "none" : "foreign";
  }

  /** What lets the page of an allowed origin read the answer, and keeps caches from mixing them. */
  headersFor({ headers: { origin } }: IncomingMessage): HeaderFields | undefined {
    if (this.#allowed.size === 0) return undefined;
    return origin !== undefined && this.#allowed.has(origin) ? corsHeaders(origin) : VARY;
  }

  // A link to the shop, followed by somebody who is shown where they are.
  #getsPage({ method, url = "", headers }: IncomingMessage): boolean {
    const { origin, accept } = headers;
    if (method !== "GET" || origin !== undefined) return false;
    if (headers["sec-fetch-mode"] !== "navigate" || headers["sec-fetch-dest"] !== "document") {
      return false;
    }
    return url === "/" || (this.#graphiql && isGraphql(url) && !!accept?.includes("text/html"));
  }
}

/** Images are anybody's to show, and nobody's cookie matters to them. */
export const isImage = ({ method, url = "" }: IncomingMessage): boolean =>
  url.startsWith("/images/") && (method === "GET" || method === "HEAD");

const isGraphql = (url: string): boolean => url === "/graphql" || url.startsWith("/graphql?");

// A page that came without TLS is not the shop's own where the shop has TLS. The reverse may be: a
// proxy that is not declared has ended the TLS.
function isOwn(origin: string, host: string, isSecure: boolean): boolean {
  const asked = host.toLowerCase();
  if (origin === `https://${asked.replace(/:443$/, "")}`) return true;
  return !isSecure && origin === `http://${asked.replace(/:80$/, "")}`;
}

/** The browser asks whether a page may send a request. */
export const isPreflight = ({ method, headers }: IncomingMessage): boolean =>
  method === "OPTIONS" && headers["access-control-request-method"] !== undefined;

const VARY: HeaderFields = { vary: "origin" };

const corsHeaders = (origin: string): HeaderFields => ({
  ...VARY,
  "access-control-allow-origin": origin,
  "access-control-allow-credentials": "true",
  "access-control-expose-headers": EXPOSED_HEADERS,
});

/** The answer to a preflight of an allowed origin. */
export const PREFLIGHT_HEADERS = {
  "access-control-allow-methods": METHODS,
  "access-control-allow-headers": REQUEST_HEADERS,
  "access-control-max-age": PREFLIGHT_SECONDS,
};
