/**
 * What happens to a request before anybody works on it: who is it from, may its page ask, and has
 * its address asked too often. It runs in front of admission, so that what is refused here costs
 * little and takes nobody's place.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import {
  deadlineExceeded,
  type Failure,
  invalidArgument,
  permissionDenied,
} from "@piata/kit/errors";
import type { Log } from "@piata/kit/log";
import type { Metrics } from "@piata/kit/metrics";
import {
  CrossSite,
  type CrossSiteOptions,
  corsHeaders,
  isImage,
  isPreflight,
  PREFLIGHT_HEADERS,
} from "./cross-site.js";
import { type Quota, quotaHeaders, RateLimit, rateLimited } from "./rate-limit.js";
import { Refusals } from "./refusals.js";
import { secureHeaders } from "./secure-headers.js";
import { type Visitor, Visitors, type VisitorsOptions } from "./visitor.js";

/** The header fields of a request, at most; browsers send about twenty. */
const HEADERS_MAX = 100;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

export interface EdgeOptions
  extends Omit<VisitorsOptions, "log">,
    Omit<CrossSiteOptions, "graphiql"> {
  /** Names that the shop is asked by; whatever it is asked by when there are none. */
  hosts: readonly string[];
  /** All header fields of a request together. */
  headerBytesMax: number;
  /** 0 turns a limit off. */
  addressRequestsPerMinute: number;
  userRequestsPerMinute: number;
  registrationsPerHour: number;
}

interface Surroundings {
  graphiql: boolean;
  log: Log;
  metrics: Metrics;
}

export class Edge {
  readonly visitors: Visitors;
  readonly #crossSite: CrossSite;
  readonly #hosts: ReadonlySet<string>;
  readonly #perAddress: RateLimit | undefined;
  readonly #perUser: RateLimit | undefined;
  readonly #registrations: RateLimit | undefined;
  readonly #refusals: ReturnType<typeof refusalsOf>;
  /** The latest response of each connection. */
  readonly #answering = new WeakMap<Socket, ServerResponse>();

  constructor(options: EdgeOptions, surroundings: Surroundings) {
    const { addressRequestsPerMinute, userRequestsPerMinute, registrationsPerHour } = options;
    this.visitors = new Visitors({ ...options, ...surroundings });
    this.#crossSite = new CrossSite({ ...options, ...surroundings });
    this.#hosts = new Set(options.hosts.map((host) => host.toLowerCase()));
    this.#perAddress = limit(addressRequestsPerMinute, MINUTE_MS);
    this.#perUser = limit(userRequestsPerMinute, MINUTE_MS);
    this.#registrations = limit(registrationsPerHour, HOUR_MS);
    this.#refusals = refusalsOf(surroundings);
  }

  /** A listener that gives `listener` what may pass, and refuses the rest before it is read. */
  guard(listener: RequestListener): RequestListener {
    return (request, response) => {
      const visitor = this.visitors.of(request);
      this.#answering.set(request.socket, response);
      for (const [name, value] of secureHeaders(isImage(request), visitor.isSecure)) {
        response.setHeader(name, value);
      }
      const site = this.#crossSite.siteOf(request, visitor);
      if (this.#crossSite.varies) response.setHeader("vary", "origin");
      if (site === "allowed") {
        const { origin = "" } = request.headers;
        for (const [name, value] of corsHeaders(origin)) response.setHeader(name, value);
      }
      if (this.#limits(request, response, visitor)) return;
      if (this.#refuses(request, response, visitor)) return;
      if (site === "foreign") {
        const { origin } = request.headers;
        return this.#refusals.foreign.refuse(request, response, {
          example: { origin: origin?.slice(0, 200) },
        });
      }
      if (site === "allowed" && isPreflight(request)) {
        response.writeHead(204, PREFLIGHT_HEADERS).end();
        return;
      }
      listener(request, response);
    };
  }

  /** Counts a request of a signed-in user. Throws RESOURCE_EXHAUSTED / RATE_LIMITED. */
  countUser(request: IncomingMessage, response: ServerResponse, userId: number): void {
    if (!this.#perUser || this.visitors.of(request).isExempt) return;
    const quota = this.#perUser.take(userId);
    // Of two limits the client is told the one that it meets first.
    const left = response.getHeader("ratelimit-remaining");
    if (left === undefined || Number(left) > quota.remaining) show(response, quota);
    if (quota.retryAfterSeconds > 0) throw rateLimited(quota.retryAfterSeconds);
  }

  /** Counts an attempt to register. Throws RESOURCE_EXHAUSTED / RATE_LIMITED. */
  countRegistration(request: IncomingMessage): void {
    const { address, isExempt } = this.visitors.of(request);
    if (!this.#registrations || isExempt) return;
    const { retryAfterSeconds } = this.#registrations.take(address);
    if (retryAfterSeconds > 0) throw rateLimited(retryAfterSeconds);
  }

  /** What the HTTP parser gave up on, or what did not come in time. */
  refuseUnparsed(error: NodeJS.ErrnoException, socket: Socket): void {
    const answering = this.#answering.get(socket);
    const isHalfAnswered = answering?.headersSent && !answering.writableFinished;
    if (error.code === "ECONNRESET" || !socket.writable || isHalfAnswered) {
      socket.destroy();
      return;
    }
    const refusals = this.#refusals.unparsed[error.code ?? ""] ?? this.#refusals.malformed;
    refusals.refuseUnparsed(socket, secureHeaders(false, false));
  }

  #limits(request: IncomingMessage, response: ServerResponse, visitor: Visitor): boolean {
    if (!this.#perAddress || visitor.isExempt) return false;
    const quota = this.#perAddress.take(visitor.address);
    show(response, quota);
    const { retryAfterSeconds } = quota;
    if (retryAfterSeconds === 0) return false;
    const example = { address: visitor.address };
    this.#refusals.limited.refuse(request, response, { retryAfterSeconds, example });
    return true;
  }

  #refuses(request: IncomingMessage, response: ServerResponse, visitor: Visitor): boolean {
    const refusals = this.#faultOf(request, visitor);
    refusals?.refuse(request, response);
    return refusals !== undefined;
  }

  #faultOf(request: IncomingMessage, { forwardedHost }: Visitor): Refusals | undefined {
    const { rawHeaders, headers, httpVersion } = request;
    if (rawHeaders.length > 2 * HEADERS_MAX) return this.#refusals.headers;
    // Node would answer this without a body.
    if (headers.host === undefined && httpVersion !== "1.0") return this.#refusals.malformed;
    if (this.#hosts.size === 0) return undefined;
    const name = (forwardedHost ?? headers.host ?? "").toLowerCase().replace(/:\d*$/, "");
    return this.#hosts.has(name) ? undefined : this.#refusals.host;
  }
}

const limit = (max: number, periodMs: number): RateLimit | undefined =>
  max > 0 ? new RateLimit({ max, periodMs }) : undefined;

function show(response: ServerResponse, quota: Quota): void {
  for (const [name, value] of Object.entries(quotaHeaders(quota))) response.setHeader(name, value);
}

const malformed = () => invalidArgument("REQUEST_INVALID", "This is not well-formed HTTP.");
const bodyTooLarge = () =>
  invalidArgument("BODY_TOO_LARGE", "The body is larger than the gateway takes.");
const headersTooLarge = () =>
  invalidArgument(
    "HEADERS_TOO_LARGE",
    "The URL and the header fields are more than the gateway takes.",
  );
const tooSlow = () =>
  deadlineExceeded("REQUEST_TIMEOUT", "The request took too long to arrive; nothing was done.");
const foreign = () =>
  permissionDenied(
    "ORIGIN_NOT_ALLOWED",
    "Pages of this origin may not call the shop; its operator can allow them.",
  );
const hostUnknown = () =>
  permissionDenied("HOST_NOT_ALLOWED", "The shop is not called by this name.");

function refusalsOf({ log, metrics }: Surroundings) {
  const refusals = (
    status: number,
    failure: (retryAfterSeconds: number) => Failure,
    line = "requests were refused",
  ) => new Refusals({ status, failure, line, log, metrics });
  const headers = refusals(431, headersTooLarge);
  return {
    headers,
    malformed: refusals(400, malformed),
    host: refusals(403, hostUnknown),
    foreign: refusals(
      403,
      foreign,
      "requests of another site's pages were refused: GATEWAY_CORS_ORIGINS allows an origin",
    ),
    limited: refusals(429, rateLimited),
    /** By what Node says of a request that it could not take. */
    unparsed: {
      ERR_HTTP_REQUEST_TIMEOUT: refusals(408, tooSlow),
      HPE_HEADER_OVERFLOW: headers,
      HPE_CHUNK_EXTENSIONS_OVERFLOW: refusals(413, bodyTooLarge),
    } as Record<string, Refusals>,
  };
}
