import { DiscoveryServiceService } from "@piata/contracts/discovery";
import { run } from "@piata/kit/run";
import { settings } from "./config.js";
import { DiscoveryHandlers } from "./handlers.js";
import { Registry } from "./registry.js";

const SWEEP_MS = 100;

await run("discovery", settings, async ({ config, onStop }) => {
  const registry = new Registry(config.leaseMs);
  const sweeping = setInterval(() => registry.sweep(), SWEEP_MS);
  onStop(() => clearInterval(sweeping));
  return {
    services: { "piata.discovery.v1.DiscoveryService": DiscoveryServiceService },
    controllers: [DiscoveryHandlers],
    providers: [{ provide: Registry, useValue: registry }],
  };
});
