/**
 * For tests: a gRPC server whose handlers the test writes, and channels to it over a real socket or
 * within the process.
 */
import { Controller, Inject, type Type } from "@nestjs/common";
import * as discovery from "@piata/contracts/discovery";
import * as payment from "@piata/contracts/payment";
import { nobody } from "@piata/testkit/identity";
import type { Observable } from "rxjs";
import { ownContext } from "./context.js";
import { LocalNetwork } from "./local.js";
import { type Log, openLog } from "./log.js";
import { Metrics } from "./metrics.js";
import { fromEveryone, Rpc } from "./permission.js";
import { Channel, type RpcClient } from "./rpc-client.js";
import { type Handlers, startRpcServer } from "./rpc-server.js";
import type { Tls } from "./tls.js";

type Payments = Handlers<payment.PaymentServiceService>;
type Served = Handlers<payment.PaymentServiceService & discovery.DiscoveryServiceService>;
type Discoveries = Handlers<discovery.DiscoveryServiceService>;
export type TrialHandlers = {
  -readonly [Name in keyof Served]?: (
    request: Parameters<Served[Name]>[0],
  ) => ReturnType<Served[Name]>;
};

const HANDLERS = Symbol("TrialHandlers");
const PATIENCE_MS = 10_000;

/** The handlers of the test; one that it did not write throws. */
abstract class Given {
  readonly #handlers: TrialHandlers;
  constructor(@Inject(HANDLERS) handlers: TrialHandlers) {
    this.#handlers = handlers;
  }
  protected the<Name extends keyof TrialHandlers>(name: Name): NonNullable<TrialHandlers[Name]> {
    const handler = this.#handlers[name];
    if (!handler) throw new Error(`the test has no ${name}`);
    return handler as NonNullable<TrialHandlers[Name]>;
  }
}

@Controller()
export class PaymentTrial extends Given implements Payments {
  @Rpc("PaymentService", fromEveryone)
  batchCharge(request: payment.BatchChargeRequest): Promise<payment.BatchChargeResponse> {
    return this.the("batchCharge")(request);
  }
  @Rpc("PaymentService", fromEveryone)
  batchVoid(request: payment.BatchVoidRequest): Promise<payment.BatchVoidResponse> {
    return this.the("batchVoid")(request);
  }
  @Rpc("PaymentService", fromEveryone)
  batchRefund(request: payment.BatchRefundRequest): Promise<payment.BatchRefundResponse> {
    return this.the("batchRefund")(request);
  }
  @Rpc("PaymentService", fromEveryone)
  reconcile(request: payment.ReconcileRequest): Promise<payment.ReconcileResponse> {
    return this.the("reconcile")(request);
  }
}

@Controller()
export class DiscoveryTrial extends Given implements Discoveries {
  @Rpc("DiscoveryService", fromEveryone)
  heartbeat(request: discovery.HeartbeatRequest): Promise<discovery.HeartbeatResponse> {
    return this.the("heartbeat")(request);
  }
  @Rpc("DiscoveryService", fromEveryone)
  withdraw(request: discovery.WithdrawRequest): Promise<discovery.WithdrawResponse> {
    return this.the("withdraw")(request);
  }
  @Rpc("DiscoveryService", fromEveryone)
  watch(request: discovery.WatchRequest): Observable<discovery.WatchResponse> {
    return this.the("watch")(request);
  }
}

/** A log that keeps its lines, parsed, beside the text that was written. */
export function openTrialLog(level = "debug") {
  const texts: string[] = [];
  const log = openLog("trial", level, { write: (text) => texts.push(text) });
  return {
    log,
    text: () => texts.join(""),
    lines: () => texts.map((text) => JSON.parse(text) as Record<string, unknown>),
  };
}

export interface ServeOptions {
  log?: Log;
  /** 0 takes any free one. */
  port?: number;
  controllers?: Type[];
  tls?: Tls | undefined;
  /** What carries the calls of its channel. */
  over?: Carrier;
}

/** What calls go over: they are to come to the same. */
export const CARRIERS = ["a socket", "the process"] as const;
export type Carrier = (typeof CARRIERS)[number];

/** Serves both services by the handlers that the test gives. */
export async function serve(handlers: TrialHandlers, options: ServeOptions = {}) {
  const { port = 0, controllers = [PaymentTrial, DiscoveryTrial], tls, over } = options;
  const network = new LocalNetwork();
  const metrics = new Metrics("trial");
  const server = await startRpcServer({
    host: "127.0.0.1",
    port,
    log: options.log ?? openTrialLog().log,
    metrics,
    services: {
      "piata.payment.v1.PaymentService": payment.PaymentServiceService,
      "piata.discovery.v1.DiscoveryService": discovery.DiscoveryServiceService,
    },
    controllers,
    providers: [{ provide: HANDLERS, useValue: handlers }],
    tls,
    serveLocally: (local) => network.serve("trial", local),
  });
  const address = `127.0.0.1:${server.port}`;
  const target = over === "the process" ? "local:///trial" : address;
  const channel = new Channel({ service: "trial", target, caller: "test", metrics, network });
  return {
    server,
    metrics,
    address,
    channel,
    payment: channel.client(payment.PaymentServiceService),
    discovery: channel.client(discovery.DiscoveryServiceService),
    async close(): Promise<void> {
      channel.close();
      await server.close(1_000);
    },
  };
}

/**
 * A service's methods over a real socket, each called as a program that may call it: the gateway, or
 * whom `by` names.
 */
export function openClient<Definition extends object>(
  to: { service: string; target: string },
  definition: Definition,
  by: { [Name in keyof Definition]?: string } = {},
): { rpc: RpcClient<Definition>; close(): void } {
  const channels = new Map<string, Channel>();
  const methods = (Object.keys(definition) as (keyof Definition)[]).map((name) => {
    const caller = by[name] ?? "gateway";
    const channel = channels.get(caller) ?? new Channel({ ...to, caller });
    channels.set(caller, channel);
    return [name, channel.client(definition)[name]];
  });
  return {
    rpc: Object.fromEntries(methods),
    close: () => {
      for (const channel of channels.values()) channel.close();
    },
  };
}

export const soon = (ms = PATIENCE_MS) => ownContext(ms);

export const traceId = "0123456789abcdef0123456789abcdef";

/** One order to charge, by the customer 7. */
export const chargeItem = (orderId: number): payment.BatchChargeRequest_Item => ({
  context: { ...nobody, traceId, userId: 7 },
  orderId,
  amount: { amountMinor: 100, currencyCode: "EUR" },
  paymentMethod: "sandbox-secret-card",
});

export const charged: payment.BatchChargeResponse_Result = {
  payment: { state: payment.PaymentState.CHARGED, declineReason: "" },
};

/** A promise that the test resolves. */
export function gate<Value = void>() {
  return Promise.withResolvers<Value>();
}
