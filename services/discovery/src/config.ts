import { commonSettings, integer, optional, setting } from "@piata/kit/config";

export const settings = {
  ...commonSettings("discovery"),
  leaseMs: setting(
    "DISCOVERY_LEASE_MS",
    optional(integer(2_000, 60_000), 2_500),
    "How long an instance stays listed without a heartbeat, in milliseconds; programs send one every 0.7 s.",
  ),
};
