/** What an instance may say about itself: it is shown to people and called by others. */
import { type Instance, type Load, Probe } from "@piata/contracts/discovery";
import { invalidArgument } from "@piata/kit/errors";

const ID = /^[A-Za-z0-9._-]{1,100}$/;
const SERVICE = /^[a-z][a-z0-9-]{0,62}$/;
const HOST_PORT = /^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):(\d{1,5})$/;
const VERSION_LENGTH_MAX = 100;

type Rule = readonly [field: string, keeps: boolean, rule: string];

/** The instance, when it is well-formed. Throws INVALID_ARGUMENT / INSTANCE_INVALID. */
export function wellFormedInstance(instance: Instance | undefined): Instance {
  if (!instance) throw invalid("instance", "An instance is needed.");
  const { id, service, address, httpAddress, version, startedAt, probe } = instance;
  const rules: Rule[] = [
    ["id", ID.test(id), "1 to 100 letters, digits, dots, dashes and underscores"],
    ["service", SERVICE.test(service), "1 to 63 lower-case letters, digits and dashes"],
    ["address", isHostPort(address), "host:port"],
    [
      "httpAddress",
      isHostPort(httpAddress) || (httpAddress === "" && probe !== Probe.HTTP),
      "host:port",
    ],
    ["version", version.length <= VERSION_LENGTH_MAX, `at most ${VERSION_LENGTH_MAX} characters`],
    ["startedAt", !startedAt || Number.isFinite(startedAt.getTime()), "a time"],
    ["probe", Probe[probe] !== undefined, "one that is known"],
  ];
  const broken = rules.find(([, keeps]) => !keeps);
  if (broken) throw invalid(`instance.${broken[0]}`, `Its ${broken[0]} must be ${broken[2]}.`);
  return instance;
}

/** Throws INVALID_ARGUMENT / INSTANCE_INVALID. */
export function wellFormedLoad(load: Load | undefined): void {
  const broken = Object.entries(load ?? {}).find(([, value]) => !(value >= 0 && value < 2 ** 53));
  if (broken) throw invalid(`load.${broken[0]}`, `Its ${broken[0]} must be from 0 to 2^53.`);
}

/** Whether a heartbeat only renews. */
export const sameInstance = (one: Instance, other: Instance): boolean =>
  one.service === other.service &&
  one.address === other.address &&
  one.httpAddress === other.httpAddress &&
  one.version === other.version &&
  one.startedAt?.getTime() === other.startedAt?.getTime() &&
  one.probe === other.probe;

function isHostPort(text: string): boolean {
  const port = Number(HOST_PORT.exec(text)?.[1]);
  return port >= 1 && port <= 65_535;
}

const invalid = (field: string, message: string) =>
  invalidArgument("INSTANCE_INVALID", message, { field });
