/** Whom a piece of work is for, and until when its caller waits for it. */
import { type ItemContext, Role } from "@piata/contracts/item";
import { permissionDenied, unauthenticated } from "./errors.js";
import { newTraceId } from "./trace-id.js";
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
  /** Proves to other services who the user is; only what is asked in a user's name has one. */
  passport?: string;
  /** When the caller gives up, in ms since the epoch. */
  deadlineMs: number;
  /** Whoever waits, if they can be seen to leave before that. */
  caller?: Caller | undefined;
}

/**
 * Somebody who waits for answers, and may leave before they come. Not an AbortSignal: with one
 * listener it costs 3.5 times as much to make for each request (0.22 µs against 0.06, Node 26).
 */
export class Caller {
  /** Made when somebody listens: most callers have their answer before that. */
  #listeners: Set<() => void> | undefined;
  #isGone = false;

  get isGone(): boolean {
    return this.#isGone;
  }

  leave(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    const listeners = this.#listeners ?? [];
    this.#listeners = undefined;
    for (const listener of listeners) listener();
  }

  /** Calls the listener when the caller leaves. Returns how to end that. */
  whenGone(listener: () => void): () => void {
    if (this.#isGone) {
      listener();
      return () => undefined;
    }
    this.#listeners ??= new Set();
    this.#listeners.add(listener);
    return () => this.#listeners?.delete(listener);
  }
}

/** A context of a program's own, for work that nobody waits for. */
export function ownContext(timeoutMs: number, userId = 0, traceId = newTraceId()): Context {
  const deadlineMs = Date.now() + timeoutMs;
  return { traceId, spanId: currentSpanId(traceId), userId, role: Role.UNSPECIFIED, deadlineMs };
}

/** A context on the wire, where its instant becomes a length of time. */
export function toItemContext(context: Context, nowMs = Date.now()): ItemContext {
  const { traceId, spanId, userId, role, passport = "", deadlineMs } = context;
  const timeoutMs = Math.max(1, Math.ceil(deadlineMs - nowMs));
  // The session is read from the passport at the far side, and believed from nowhere else.
  return { traceId, spanId, userId, role, timeoutMs, passport, sessionId: "" };
}

/** What an answer needs for its way back to a caller who still waits for it. */
const HOP_MS = 50;

/**
 * How long a call to a neighbour may take that is made for an item which came in just now: at most
 * `mostMs`, and less than the item's own caller waits.
 */
export function handedOnMs(timeoutMs: number, mostMs: number): number {
  return timeoutMs > 0 ? Math.max(1, Math.min(mostMs, timeoutMs - HOP_MS)) : mostMs;
}

/**
 * The context of one call that is made for several: it is waited for as long as anybody waits, and
 * its caller has left when all have.
 */
export function together(contexts: readonly Context[]): Context {
  const longest = contexts.reduce((one, other) =>
    other.deadlineMs > one.deadlineMs ? other : one,
  );
  const callers = new Set(contexts.map(({ caller }) => caller));
  if (callers.size === 1 || callers.has(undefined)) {
    return callers.size === 1 ? longest : { ...longest, caller: undefined };
  }
  const all = new Caller();
  let left = callers.size;
  for (const caller of callers) {
    caller?.whenGone(() => {
      left -= 1;
      if (left === 0) all.leave();
    });
  }
  return { ...longest, caller: all };
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
