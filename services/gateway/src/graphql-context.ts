/** What a resolver knows of its request. */
import { Role } from "@piata/contracts/item";
import { Caller, type Context } from "@piata/kit/context";
import { unauthenticated } from "@piata/kit/errors";
import type { Recording } from "@piata/kit/span";
import { newTraceId } from "@piata/kit/trace-id";
import { startRequest, traceparentIn } from "@piata/kit/tracing";
import { parseCookie, stringifySetCookie } from "cookie";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Edge } from "./edge.js";
import { onceGone } from "./gone.js";
import type { Asked } from "./operations.js";
import type { Sessions } from "./sessions.js";

/** What a session is kept under by a browser. */
export interface CookieNames {
  access: string;
  refresh: string;
}
const COOKIES: CookieNames = { access: "access_token", refresh: "refresh_token" };
/** A browser takes these from the host itself and over TLS only; no neighbour can plant them. */
const HOST_COOKIES: CookieNames = {
  access: "__Host-access_token",
  refresh: "__Host-refresh_token",
};

const USER_AGENT_LENGTH_MAX = 200;

const BEARER = /^Bearer +([\x21-\x7e]+)$/i;

/** The request's own context: who is asking is found out only when a resolver needs to know. */
export class GraphqlContext {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  /** Nobody's: for what is public. */
  readonly anyone: Context;
  /** Of the request, when its trace is recorded. */
  readonly span: Recording | undefined;
  /** The root fields that it asked for. */
  readonly asked: Asked[] = [];
  readonly #sessions: Sessions;
  readonly #edge: Edge;
  #signedIn: Promise<Context> | undefined;

  constructor(
    request: FastifyRequest,
    reply: FastifyReply,
    given: { sessions: Sessions; edge: Edge; timeoutMs: number; traceId?: string },
  ) {
    const { sessions, edge, timeoutMs } = given;
    this.request = request;
    this.reply = reply;
    this.#sessions = sessions;
    this.#edge = edge;
    const { traceparent } = request.headers;
    const traceId = given.traceId ?? traceparentIn(traceparent)?.traceId ?? newTraceId();
    this.span = startRequest(traceId, traceparent);
    const caller = new Caller();
    onceGone(request.raw, reply.raw, () => caller.leave());
    this.anyone = {
      traceId,
      spanId: this.span?.spanId ?? "",
      userId: 0,
      role: Role.UNSPECIFIED,
      deadlineMs: Date.now() + timeoutMs,
      caller,
    };
  }

  /** Where the request comes from, for counting: an IPv4 address, or the first of a /64. */
  get address(): string {
    return this.#edge.arrivalOf(this.request.raw).visitor.address;
  }

  /** What the client calls itself, in visible characters. */
  get userAgent(): string {
    const given = this.request.headers["user-agent"] ?? "";
    return given.replace(/[^\x20-\x7e]/g, "?").slice(0, USER_AGENT_LENGTH_MAX);
  }

  /** The request came over TLS: its cookies go over nothing else. */
  get isSecure(): boolean {
    return this.#edge.arrivalOf(this.request.raw).visitor.isSecure;
  }

  get cookieNames(): CookieNames {
    return this.isSecure ? HOST_COOKIES : COOKIES;
  }

  /** Throws RESOURCE_EXHAUSTED / RATE_LIMITED when its address registers too often. */
  countRegistration(): void {
    this.#edge.countRegistration(this.request.raw);
  }

  /** The access token that was sent; a bearer token wins over a cookie. */
  get accessToken(): string | undefined {
    const { authorization } = this.request.headers;
    if (authorization !== undefined) return BEARER.exec(authorization)?.[1] ?? "";
    return this.#cookie(this.cookieNames.access);
  }

  get refreshToken(): string | undefined {
    return this.#cookie(this.cookieNames.refresh);
  }

  setCookie(name: string, value: string, expires: Date): void {
    const secure = this.isSecure;
    const options = { httpOnly: true, sameSite: "lax", secure, path: "/", expires } as const;
    this.reply.header("set-cookie", stringifySetCookie({ name, value, ...options }));
  }

  clearCookie(name: string): void {
    this.setCookie(name, "", new Date(0));
  }

  #cookie(name: string): string | undefined {
    const { cookie } = this.request.headers;
    return cookie === undefined ? undefined : parseCookie(cookie)[name];
  }

  /** The signed-in user's context. Throws UNAUTHENTICATED; RESOURCE_EXHAUSTED / RATE_LIMITED. */
  signedIn(): Promise<Context> {
    this.#signedIn ??= this.#identify();
    return this.#signedIn;
  }

  async #identify(): Promise<Context> {
    const { accessToken } = this;
    if (accessToken === undefined) {
      throw unauthenticated("SIGN_IN_REQUIRED", "Sign in first: this needs an access token.");
    }
    const { userId, role, passport } = await this.#sessions.identify(this.anyone, accessToken);
    this.#edge.countUser(this.request.raw, this.reply, userId);
    return { ...this.anyone, userId, role, passport };
  }
}
