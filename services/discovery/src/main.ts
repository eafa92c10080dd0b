import { DiscoveryServiceService } from "@piata/contracts/discovery";
import { defineProgram, type Start } from "@piata/kit/program";
import { run } from "@piata/kit/run";
import { Counter, Gauge } from "prom-client";
import { settings } from "./config.js";
import { DiscoveryHandlers } from "./handlers.js";
import { Journal } from "./journal.js";
import { healthName, overviewOf } from "./overview.js";
import { html, json } from "./page.js";
import { probeOf } from "./probe.js";
import { Prober } from "./prober.js";
import { Registry } from "./registry.js";

const TICK_MS = 100;

const start: Start<typeof settings> = async ({ config, log, metrics, tls, onStop }) => {
  const { leaseMs, version } = config;
  const journal = new Journal(log);
  const registry = new Registry({ leaseMs, note: (...event) => journal.note(...event) });
  const failures = new Counter({
    name: "piata_probe_failures_total",
    help: "Probes that did not find their instance serving, by what they found.",
    labelNames: ["verdict"],
    registers: [metrics.registry],
  });
  new Gauge({
    name: "piata_instances",
    help: "Instances that hold a lease, by service and health.",
    labelNames: ["service", "health"],
    registers: [metrics.registry],
    collect() {
      this.reset();
      for (const [service, entries] of registry.services()) {
        for (const { health } of entries) this.inc({ service, health: healthName(health.state) });
      }
    },
  });
  const prober = new Prober({
    instances: () => registry.instances(),
    probeOf: (instance) => probeOf(instance, tls),
    report: (instance, outcome) => {
      if (outcome.verdict !== "SERVING") failures.inc({ verdict: outcome.verdict });
      registry.probed(instance, outcome);
    },
  });
  const ticking = setInterval(() => {
    registry.sweep();
    prober.tick();
  }, TICK_MS);
  onStop(() => {
    clearInterval(ticking);
    prober.close();
  });
  const startMs = performance.now();
  const overview = () => overviewOf({ registry, journal, version, startMs });
  return {
    services: { "piata.discovery.v1.DiscoveryService": DiscoveryServiceService },
    controllers: [DiscoveryHandlers],
    providers: [{ provide: Registry, useValue: registry }],
    pages: { "/": () => html(overview()), "/v1/services": () => json(overview()) },
  };
};

export const discovery = defineProgram("discovery", settings, start);

if (import.meta.main) await run(discovery);
