/** What a resolver knows of its request. */
import { Role } from "@piata/contracts/item";
import { Caller, type Context, newTraceId } from "@piata/kit/context";
import { unauthenticated } from "@piata/kit/errors";
import type { Recording } from "@piata/kit/span";
import { startRequest, traceparentIn } from "@piata/kit/tracing";
import type { FastifyReply, FastifyRequest } from "fastify";
import { onceGone } from "./gone.js";
import type { Asked } from "./operations.js";
import type { Sessions } from "./sessions.js";

export const ACCESS_COOKIE = "access_token";
export const REFRESH_COOKIE = "refresh_token";

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
  #signedIn: Promise<Context> | undefined;

  constructor(
    request: FastifyRequest,
    reply: FastifyReply,
    given: { sessions: Sessions; timeoutMs: number; traceId?: string },
  ) {
    const { sessions, timeoutMs } = given;
    this.request = request;
    this.reply = reply;
    this.#sessions = sessions;
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

  /** The access token that was sent; a bearer token wins over a cookie. */
  get accessToken(): string | undefined {
    const { authorization } = this.request.headers;
    if (authorization !== undefined) return BEARER.exec(authorization)?.[1] ?? "";
    return this.request.cookies[ACCESS_COOKIE];
  }

  get refreshToken(): string | undefined {
    return this.request.cookies[REFRESH_COOKIE];
  }

  /** The signed-in user's context. Throws UNAUTHENTICATED. */
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
    return { ...this.anyone, userId, role, passport };
  }
}
