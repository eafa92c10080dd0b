/** Discovery's RPCs. */
import type { Metadata } from "@grpc/grpc-js";
import { Controller, Inject } from "@nestjs/common";
import type * as rpc from "@piata/contracts/discovery";
import { permissionDenied } from "@piata/kit/errors";
import { callerIn } from "@piata/kit/guard";
import { fromEveryone, Rpc } from "@piata/kit/permission";
import type { Handlers } from "@piata/kit/rpc-server";
import { Observable } from "rxjs";
import { Registry } from "./registry.js";

// A watcher takes a discovery that is silent for longer than 2.5 s for one that hangs.
const REPEAT_MS = 1_000;

/** Serves piata.discovery.v1.DiscoveryService. */
@Controller()
export class DiscoveryHandlers implements Handlers<rpc.DiscoveryServiceService> {
  readonly #registry: Registry;

  constructor(@Inject(Registry) registry: Registry) {
    this.#registry = registry;
  }

  @Rpc("DiscoveryService", fromEveryone)
  async heartbeat(
    { instance, load }: rpc.HeartbeatRequest,
    metadata: Metadata,
  ): Promise<rpc.HeartbeatResponse> {
    speaksForItself(instance, metadata);
    if (instance) speaksForItself(this.#registry.find(instance.id), metadata);
    this.#registry.heartbeat(instance, load);
    return { leaseMs: this.#registry.leaseMs };
  }

  @Rpc("DiscoveryService", fromEveryone)
  async withdraw(
    { instanceId }: rpc.WithdrawRequest,
    metadata: Metadata,
  ): Promise<rpc.WithdrawResponse> {
    speaksForItself(this.#registry.find(instanceId), metadata);
    this.#registry.withdraw(instanceId);
    return {};
  }

  @Rpc("DiscoveryService", fromEveryone)
  watch(): Observable<rpc.WatchResponse> {
    return new Observable((watcher) => {
      const registry = this.#registry;
      watcher.next(registry.listing());
      const unwatch = registry.watch((listing) => watcher.next(listing));
      const repeat = setInterval(() => watcher.next(registry.listing()), REPEAT_MS);
      const settle = setTimeout(() => watcher.next(registry.listing()), registry.leaseMs);
      return () => {
        unwatch();
        clearInterval(repeat);
        clearTimeout(settle);
      };
    });
  }
}

/** Throws PERMISSION_DENIED / INSTANCE_NOT_OWN: nobody is listed, or taken off, in another's name. */
function speaksForItself(instance: rpc.Instance | undefined, metadata: Metadata): void {
  const caller = callerIn(metadata);
  if (instance === undefined || instance.service === caller) return;
  const { service } = instance;
  throw permissionDenied(
    "INSTANCE_NOT_OWN",
    `${caller || "Nobody"} may not speak for an instance of ${service}.`,
    { caller, service },
  );
}
