/** Whom a piece of work is for, and until when its caller waits for it. */
import { randomBytes } from "node:crypto";
import { type ItemContext, Role } from "@piata/contracts/item";
import { permissionDenied, unauthenticated } from "./errors.js";

/** Identity, trace and patience of one request, handed from function to function. */
export interface Context {
  /** W3C trace id, 32 hex digits. */
  traceId: string;
  /** 0 when nobody is signed in. */
  userId: number;
  role: Role;
  /** When the caller gives up, in ms since the epoch. */
  deadlineMs: number;
}

export const newTraceId = (): string => randomBytes(16).toString("hex");

/** A context of a program's own, for work that nobody waits for. */
export function ownContext(timeoutMs: number, userId = 0, traceId = newTraceId()): Context {
  return { traceId, userId, role: Role.UNSPECIFIED, deadlineMs: Date.now() + timeoutMs };
}

export function toItemContext({ traceId, userId, role }: Context): ItemContext {
  return { traceId, userId, role };
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
