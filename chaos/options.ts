import { parseArgs } from "node:util";

export const USAGE = `Usage: npm run chaos -- [options]

  --seed S             repeats the schedule of that run (default: a random one, printed first)
  --orders N           orders to acknowledge (default 1000)
  --kills K            kill -9s; half as many of each other kind of fault come with them (default 10)
  --clients C          customers at once (default 32)
  --seconds-max T      customers stop after so long (default 1800)
  --rest-seconds T     how long the shop may take to come to rest (default 180)
  --replicas LIST      instances per program (default order=2)
  --only LIST          only these faults, such as kill:order,pause:order,cut:cart,delay:cart,drop:cart
  --direct             without proxies: programs find each other by discovery, no wire fails
  --verbose            prints the schedule, and each fault as it comes
  --report FILE        writes what was done and found as JSON, too
  --keep               keeps the data folder; it is kept anyway when something is off

  --flash              instead: 2,000 buyers of 500 units, on one product and spread over 500
  --same-key           instead: the same initOrder 100 times at once, 20 times over
  --buyers B, --units U, --at-once A, --rounds R   other sizes of these two

It exits with 0 when all is well, 1 when something is off, 2 when the shop did not come to rest.`;

/** What the caller asked for cannot be understood. */
export class UsageError extends Error {}

export type Mode = "storm" | "flash" | "same-key";

export interface Options {
  readonly mode: Mode;
  readonly help: boolean;
  readonly seed: number;
  readonly orders: number;
  readonly kills: number;
  readonly clients: number;
  readonly secondsMax: number;
  readonly restSeconds: number;
  readonly replicas: Readonly<Record<string, number>>;
  readonly only: readonly string[] | undefined;
  readonly direct: boolean;
  readonly verbose: boolean;
  readonly report: string | undefined;
  readonly keep: boolean;
  readonly buyers: number;
  readonly units: number;
  readonly atOnce: number;
  readonly rounds: number;
}

export function readOptions(args: string[]): Options {
  const values = parse(args);
  const isFlash = values.flash ?? false;
  if (isFlash && values["same-key"]) throw new UsageError("--flash or --same-key, not both.");
  const whole = (name: keyof typeof values, fallback: number, min = 1): number => {
    const text = String(values[name] ?? fallback);
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min) return value;
    throw new UsageError(`--${name} must be a whole number from ${min}, not "${text}".`);
  };
  return {
    mode: isFlash ? "flash" : values["same-key"] ? "same-key" : "storm",
    help: values.help ?? false,
    seed: whole("seed", Math.floor(Math.random() * 1_000_000), 0),
    orders: whole("orders", 1_000),
    kills: whole("kills", 10, 0),
    clients: whole("clients", 32),
    secondsMax: whole("seconds-max", 1_800),
    restSeconds: whole("rest-seconds", 180),
    replicas: readReplicas(values.replicas ?? "order=2"),
    only: values.only?.split(","),
    direct: values.direct ?? false,
    verbose: values.verbose ?? false,
    report: values.report,
    keep: values.keep ?? false,
    buyers: whole("buyers", 2_000),
    units: whole("units", 500),
    atOnce: whole("at-once", isFlash ? 200 : 100),
    rounds: whole("rounds", 20),
  };
}

function parse(args: string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    return parseArgs({
      args,
      options: {
        help: { type: "boolean", short: "h" },
        seed: text,
        orders: text,
        kills: text,
        clients: text,
        "seconds-max": text,
        "rest-seconds": text,
        replicas: text,
        only: text,
        direct: flag,
        verbose: flag,
        report: text,
        keep: flag,
        flash: flag,
        "same-key": flag,
        buyers: text,
        units: text,
        "at-once": text,
        rounds: text,
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

// The launcher knows which programs there are, and says so.
function readReplicas(list: string): Record<string, number> {
  return Object.fromEntries(
    list.split(",").map((entry) => {
      const [, name, count] = /^(\w+)=(\d{1,2})$/.exec(entry) ?? [];
      if (name === undefined) throw new UsageError(`"${entry}" is not <program>=<count>.`);
      return [name, Number(count)];
    }),
  );
}
