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
import type { FastifyReply } from "fastify";
import { type Arrival, arrivalOf, arrive } from "./arrival.js";
import {
  CrossSite,
  type CrossSiteOptions,
  isImage,
  isPreflight,
  PREFLIGHT_HEADERS,
} from "./cross-site.js";
import { bodyTooLarge } from "./errors.js";
import { quotaHeaders, RateLimit, rateLimited } from "./rate-limit.js";
import { Refusals } from "./refusals.js";
import { secureHeaders } from "./secure-headers.js";
import { type Visitor, Visitors, type VisitorsOptions } from "./visitor.js";

/** The header fields of a request, at most; browsers send about twenty. */
const HEADERS_MAX = 100;
/** Of an origin that is shown in the log. */
const ORIGIN_LENGTH_MAX = 200;
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

/** The latest response of a connection, kept on it. */
const LATEST = Symbol("latest response");

interface Answering extends Socket {
  [LATEST]?: ServerResponse;
}

export class Edge {
  readonly #visitors: Visitors;
  readonly #crossSite: CrossSite;
  readonly #hosts: ReadonlySet<string>;
  readonly #perAddress: RateLimit | undefined;
  readonly #perUser: RateLimit | undefined;
  readonly #registrations: RateLimit | undefined;
  readonly #refusals: ReturnType<typeof refusalsOf>;

  constructor(options: EdgeOptions, surroundings: Surroundings) {
    const { addressRequestsPerMinute, userRequestsPerMinute, registrationsPerHour } = options;
    this.#visitors = new Visitors({ ...options, ...surroundings });
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
      (request.socket as Answering)[LATEST] = response;
      const { visitor } = this.arrivalOf(request);
      const waitSeconds = this.#countRequest(request, visitor);
      if (waitSeconds > 0) {
        return this.#refusals.limited.refuse(request, response, {
          retryAfterSeconds: waitSeconds,
          example: { address: visitor.address },
        });
      }
      const fault = this.#faultOf(request, visitor);
      if (fault) return fault.refuse(request, response);
      const site = this.#crossSite.siteOf(request, visitor);
      if (site === "foreign") {
        const example = { origin: request.headers.origin?.slice(0, ORIGIN_LENGTH_MAX) };
        return this.#refusals.foreign.refuse(request, response, { example });
      }
      if (site === "allowed" && isPreflight(request)) {
        response.writeHead(204, { ...this.arrivalOf(request).headers, ...PREFLIGHT_HEADERS }).end();
        return;
      }
      listener(request, response);
    };
  }

  /** What is known of a request. */
  arrivalOf(request: IncomingMessage): Arrival {
    return arrivalOf(request) ?? this.#meet(request);
  }

  /** Counts a request of a signed-in user. Throws RESOURCE_EXHAUSTED / RATE_LIMITED. */
  countUser(request: IncomingMessage, reply: FastifyReply, userId: number): void {
    const { visitor, headers } = this.arrivalOf(request);
    if (!this.#perUser || visitor.isExempt) return;
    const quota = this.#perUser.take(userId);
    // Of two limits the client is told the one that it meets first.
    if (!(Number(headers["ratelimit-remaining"]) <= quota.remaining)) {
      reply.headers(quotaHeaders(quota));
    }
    if (quota.retryAfterSeconds > 0) throw rateLimited(quota.retryAfterSeconds);
  }

  /** Counts an attempt to register. Throws RESOURCE_EXHAUSTED / RATE_LIMITED. */
  countRegistration(request: IncomingMessage): void {
    const { address, isExempt } = this.arrivalOf(request).visitor;
    if (!this.#registrations || isExempt) return;
    const { retryAfterSeconds } = this.#registrations.take(address);
    if (retryAfterSeconds > 0) throw rateLimited(retryAfterSeconds);
  }

  /** What the HTTP parser gave up on, or what did not come in time. */
  refuseUnparsed(error: NodeJS.ErrnoException, socket: Socket): void {
    const answering = (socket as Answering)[LATEST];
    const isHalfAnswered = answering?.headersSent && !answering.writableFinished;
    // Browsers open connections that they may never use.
    const isSilent = socket.bytesRead === 0;
    if (error.code === "ECONNRESET" || !socket.writable || isHalfAnswered || isSilent) {
      socket.destroy();
      return;
    }
    const refusals = this.#refusals.unparsed[error.code ?? ""] ?? this.#refusals.malformed;
    refusals.refuseUnparsed(socket, secureHeaders("api", false));
  }

  #meet(request: IncomingMessage): Arrival {
    const visitor = this.#visitors.of(request);
    const headers = secureHeaders(isImage(request) ? "image" : "api", visitor.isSecure);
    const cors = this.#crossSite.headersFor(request);
    return arrive(request, { visitor, headers: cors ? { ...headers, ...cors } : headers });
  }

  /** Counts a request of an address; returns how long to wait, 0 when it may go on. */
  #countRequest(request: IncomingMessage, { address, isExempt }: Visitor): number {
    if (!this.#perAddress || isExempt) return 0;
    const quota = this.#perAddress.take(address);
    const arrival = this.arrivalOf(request);
    arrival.headers = { ...arrival.headers, ...quotaHeaders(quota) };
    return quota.retryAfterSeconds;
  }

  #faultOf(request: IncomingMessage, { forwardedHost }: Visitor): Refusals | undefined {
    const { rawHeaders, headers, httpVersion } = request;
    if (rawHeaders.length > 2 * HEADERS_MAX) return this.#refusals.headers;
    // Node would answer this without a body.
    if (headers.host === undefined && httpVersion !== "1.0") return this.#refusals.malformed;
    // Node takes the first of several, and a proxy in front may have taken the last.
    if (hasHosts(rawHeaders)) return this.#refusals.malformed;
    if (this.#hosts.size === 0) return undefined;
    const name = (forwardedHost ?? headers.host ?? "").toLowerCase().replace(/:\d*$/, "");
    return this.#hosts.has(name) ? undefined : this.#refusals.host;
  }
}

/** Whether a request names more than one host, which HTTP has refused (RFC 9112, section 3.2). */
function hasHosts(rawHeaders: readonly string[]): boolean {
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] as string;
    if (name.length === 4 && name.toLowerCase() === "host") count += 1;
  }
  return count > 1;
}

const limit = (max: number, periodMs: number): RateLimit | undefined =>
  max > 0 ? new RateLimit({ max, periodMs }) : undefined;

const malformed = () => invalidArgument("REQUEST_INVALID", "This is not well-formed HTTP.");
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
