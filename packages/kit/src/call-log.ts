/** The log of the calls that a gRPC server answers, and their count. */
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status,
} from "@grpc/grpc-js";
import type { Status } from "@piata/contracts/rpc/status";
import { failureIn, fromStatus } from "./errors.js";
import { callerIn } from "./guard.js";
import type { Log } from "./log.js";
import type { Metrics } from "./metrics.js";

/** A call's time begins here when its headers are read, which is later than at its caller. */
const TRANSIT_MS = 50;

/** What the log takes from a request, a batch or not, and from its response. */
export interface Loggable {
  context?: { traceId: string };
  items?: { context?: { traceId: string } }[];
  results?: { failure?: Status }[];
}

/** The trace of a request; of a batch, that of its first item. */
export const traceOf = ({ context, items }: Loggable): string | undefined =>
  context?.traceId ?? items?.[0]?.context?.traceId;

/** One line per call: method, code, reason, duration, caller, trace. Bodies are never logged. */
export function callLogger(log: Log, metrics: Metrics): ServerInterceptor {
  return (method, call) => {
    const startMs = performance.now();
    const rpc = method.path.slice(1);
    let received: Metadata | undefined;
    const caller = () => received && callerIn(received);
    let request: Loggable = {};
    let written = false;
    // A stream is open all day; it is not work in progress.
    const inProgress = method.responseStream || isHealthCheck(rpc) ? 0 : 1;
    metrics.callsInProgress += inProgress;
    const write = (code: string, reason?: string) => {
      if (written) return;
      written = true;
      metrics.callsInProgress -= inProgress;
      // Probes are no traffic, and how long a watch was open is no measure of anything.
      if (isHealthCheck(rpc)) return;
      if (method.responseStream) metrics.answerUntimed(rpc, code);
      else metrics.answer(rpc, code, startMs);
      const durationMs = Math.round((performance.now() - startMs) * 100) / 100;
      const items = request.items?.length;
      const traceId = traceOf(request);
      log.info({ rpc, caller: caller(), code, reason, durationMs, items, traceId }, "call");
    };
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, proceed) => {
            // Asked who calls only when a line is written: by then it is proven.
            received = metadata;
            proceed(metadata);
          },
          onReceiveMessage: (message: Loggable, proceed) => {
            request = message;
            proceed(message);
          },
          // The caller is gone, so that no status will be sent.
          onCancel: () => {
            const isEarly = Date.now() < deadlineOf(call) - TRANSIT_MS;
            write(isEarly ? "CANCELLED" : "DEADLINE_EXCEEDED");
          },
        }),
      sendMessage: (message: Loggable, next) => {
        message.results?.forEach(({ failure }, index) => {
          if (!failure) return;
          const { code, reason } = fromStatus(failure);
          const traceId = request.items?.[index]?.context?.traceId;
          log.info({ rpc, caller: caller(), code, reason, traceId }, "item failed");
        });
        next(message);
      },
      sendStatus: (sent, next) => {
        // A Failure's message may quote its caller; its reason never does.
        const own = sent.code === status.OK ? undefined : (sent.details ?? undefined);
        write(status[sent.code ?? status.UNKNOWN], failureIn(sent.metadata)?.reason ?? own);
        next(sent);
      },
    });
  };
}

function deadlineOf(call: ServerInterceptingCallInterface): number {
  const deadline = call.getDeadline();
  return deadline instanceof Date ? deadline.getTime() : deadline;
}

/** Whether a call only asks if we serve. */
const isHealthCheck = (rpc: string): boolean => rpc.startsWith("grpc.health.");
