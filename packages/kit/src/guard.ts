/**
 * What stands before every handler: who calls, whether they may, whether what they sent is a
 * message at all, and whom its items are for.
 */
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from "@grpc/grpc-js";
import { type ItemContext, Role } from "@piata/contracts/item";
import {
  type Failure,
  internal,
  invalidArgument,
  permissionDenied,
  toServiceError,
} from "./errors.js";
import type { Passports } from "./passport.js";
import type { Permission } from "./permission.js";
import { newTraceId } from "./trace-id.js";

/** Under which key a call's metadata has its caller's name. */
export const CALLER_KEY = "x-caller";

/** Who makes a call, once the guard has let it in. */
export const callerIn = (metadata: Metadata): string =>
  metadata.get(CALLER_KEY)[0]?.toString() ?? "";

/** Stands for a request whose bytes are no message of its type. */
export class Malformed {}

export interface GuardOptions {
  /** By path: "/piata.cart.v1.CartService/BatchTake". What is not here is gRPC's own. */
  permissions: ReadonlyMap<string, Permission>;
  /** Needed where a permission trusts passports. */
  passports: Passports | undefined;
  /** Whether callers show certificates; without, they are believed by their word. */
  isSecure: boolean;
}

interface Carrier {
  context?: ItemContext;
  items?: { context?: ItemContext }[];
}

/** Refuses what may not be, before a handler sees it. */
export function guard({ permissions, passports, isSecure }: GuardOptions): ServerInterceptor {
  return (method, call) => {
    const permission = permissions.get(method.path);
    if (!permission) return new ServerInterceptingCall(call);
    const refuse = (failure: Failure) =>
      call.sendStatus({ details: null, metadata: null, ...toServiceError(failure) } as Parameters<
        typeof call.sendStatus
      >[0]);
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, proceed) => {
            const caller = callerOf(call, metadata, isSecure);
            // From here on it is the proven name, also for the log and the handlers.
            metadata.set(CALLER_KEY, caller);
            if (permission.callers && !permission.callers.includes(caller)) {
              return refuse(callerNotAllowed(caller, method.path));
            }
            proceed(metadata);
          },
          onReceiveMessage: (message: Carrier | Malformed, proceed) => {
            if (message instanceof Malformed) return refuse(messageInvalid());
            const contexts = contextsOf(message);
            for (const context of contexts) keepIdsOnly(context);
            if (permission.trusts === "caller") {
              for (const context of contexts) {
                context.role = Role.UNSPECIFIED;
                context.sessionId = "";
              }
              return proceed(message);
            }
            const unknown = passports?.identify(contexts);
            if (!unknown) return proceed(message);
            unknown.then(
              () => proceed(message),
              (error) => refuse(internal(error)),
            );
          },
        }),
    });
  };
}

function callerOf(
  call: ServerInterceptingCallInterface,
  metadata: Metadata,
  isSecure: boolean,
): string {
  if (!isSecure) return callerIn(metadata);
  const connection = connectionOf(call);
  const known = connection && names.get(connection);
  if (known !== undefined) return known;
  const name = call.getAuthContext()?.sslPeerCertificate?.subject.CN;
  const caller = typeof name === "string" ? name : "";
  if (connection) names.set(connection, caller);
  return caller;
}

/**
 * The names in the certificates that connections began with: one is never changed for another, and
 * to read it takes as long as the rest of a small call.
 */
const names = new WeakMap<object, string>();

/** What grpc-js has inside a call and does not show. */
interface Inside {
  nextCall?: Inside;
  stream?: { session?: object };
}

/** The connection of a call; without one that it shows, the call is asked itself, each time. */
function connectionOf(call: ServerInterceptingCallInterface): object | undefined {
  let inside = call as Inside;
  while (inside.nextCall) inside = inside.nextCall;
  return inside.stream?.session;
}

function contextsOf({ context, items }: Carrier): ItemContext[] {
  if (items) return items.map((item) => item.context).filter((one) => one !== undefined);
  return context ? [context] : [];
}

const TRACE_ID = /^[0-9a-f]{32}$/;
const SPAN_ID = /^(?:[0-9a-f]{16})?$/;

// They are logged, stored and handed on as they come: a zero character ends in an SQL error.
function keepIdsOnly(context: ItemContext): void {
  if (!TRACE_ID.test(context.traceId)) context.traceId = newTraceId();
  if (!SPAN_ID.test(context.spanId)) context.spanId = "";
}

const callerNotAllowed = (caller: string, path: string) =>
  permissionDenied("CALLER_NOT_ALLOWED", `${caller || "Nobody"} may not call ${path}.`);
const messageInvalid = () =>
  invalidArgument(
    "MESSAGE_INVALID",
    "The request is not a message of the type that the RPC takes.",
  );
