/** Whom a piece of work is for, and until when its caller waits for it. */
import { randomBytes } from "node:crypto";
import { type ItemContext, Role } from "@piata/contracts/item";
import { permissionDenied, unauthenticated } from "./errors.js";
import { currentSpanId } from "./tracing.js";

/** Identity, trace and patience of one request, handed from function to function. */
export interface Context {
  /** W3C trace id, 32 hex digits. */
  traceId: string;
  /** The span that causes what is done for this context, 16 hex digits; "" when none is recorded. */
  spanId: string;
  /** 0 when nobody is signed in. */
  userId: number;
  role: Role;
  /** When the caller gives up, in ms since the epoch. */
  deadlineMs: number;
}

export const newTraceId = (): string => randomBytes(16).toString("hex");

/** A context of a program's own, for work that nobody waits for. */
export function ownContext(timeoutMs: number, userId = 0, traceId = newTraceId()): Context {
  const deadlineMs = Date.now() + timeoutMs;
  return { traceId, spanId: currentSpanId(traceId), userId, role: Role.UNSPECIFIED, deadlineMs };
}

/** A context on the wire, where its instant becomes a length of time. */
export function toItemContext(context: Context, nowMs = Date.now()): ItemContext {
  const { traceId, spanId, userId, role, deadlineMs } = context;
  return { traceId, spanId, userId, role, timeoutMs: Math.max(1, Math.ceil(deadlineMs - nowMs)) };
}

/** The signed-in user of an item. Throws UNAUTHENTICATED / SIGN_IN_REQUIRED. */
export function signedIn(context: ItemContext | undefined): number {
  if (!context || context.userId <= 0) {
    throw unauthenticated("SIGN_IN_REQUIRED", "Sign in first: this needs a valid access token.");
  }
  return context.userId;
}

/** The signed-in member of staff of an item. Throws PERMISSION_DENIED / STAFF_ONLY otherwise. */
export function staff(context: ItemContext | undefined): number {
  const userId = signedIn(context);
  if (context?.role !== Role.STAFF) {
    throw permissionDenied("STAFF_ONLY", "Only the shop's staff may do this.");
  }
  return userId;
}

/** The context that is waited for longest: of a call that is made for all of them at once. */
export const longest = (contexts: Context[]): Context =>
  contexts.reduce((one, other) => (other.deadlineMs > one.deadlineMs ? other : one));
