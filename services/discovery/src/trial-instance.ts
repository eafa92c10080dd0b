/** For tests: an instance that nobody runs. */
import { type Instance, Probe } from "@piata/contracts/discovery";

/** Not probed unless told otherwise. */
export const trialInstance = (id: string, service = "catalog", given = {}): Instance => ({
  id,
  service,
  address: "127.0.0.1:5000",
  httpAddress: "127.0.0.1:6000",
  version: "1.0.0",
  startedAt: undefined,
  probe: Probe.UNSPECIFIED,
  ...given,
});
