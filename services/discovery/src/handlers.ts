/** Discovery's RPCs. */
import { Controller, Inject } from "@nestjs/common";
import { GrpcMethod } from "@nestjs/microservices";
import type * as rpc from "@piata/contracts/discovery";
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

  @GrpcMethod("DiscoveryService")
  async heartbeat({ instance, load }: rpc.HeartbeatRequest): Promise<rpc.HeartbeatResponse> {
    this.#registry.heartbeat(instance, load);
    return { leaseMs: this.#registry.leaseMs };
  }

  @GrpcMethod("DiscoveryService")
  async withdraw({ instanceId }: rpc.WithdrawRequest): Promise<rpc.WithdrawResponse> {
    this.#registry.withdraw(instanceId);
    return {};
  }

  @GrpcMethod("DiscoveryService")
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
