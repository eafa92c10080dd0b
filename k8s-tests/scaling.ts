// The calculation of docs/scaling.md: from what one order costs to what so many a second need.

/** What was measured and what is assumed, by the names in the document's tables. */
export type Inputs = ReadonlyMap<string, number>;

export interface Need {
  instances: ReadonlyMap<string, number>;
  /** Servers of PostgreSQL (primaries, each with its replicas), by service. */
  servers: ReadonlyMap<string, number>;
  cpus: number;
  terabytesPerDay: number;
}

export const PROGRAMS = ["gateway", "access", "catalog", "cart", "order", "payment"];
export const DATABASES = ["catalog", "cart", "order", "payment"];

const input = (inputs: Inputs, name: string): number => {
  const value = inputs.get(name);
  if (value === undefined) throw new Error(`docs/scaling.md does not say: ${name}`);
  return value;
};

/** What `rate` orders a second need. */
export function needFor(rate: number, inputs: Inputs): Need {
  const busy = input(inputs, "share of a CPU that may be busy");
  const serverCpus = input(inputs, "CPUs of a database server");
  const atLeast = input(inputs, "instances at least");
  const logOf = (name: string): number => {
    const all = DATABASES.reduce((sum, one) => sum + input(inputs, `postgres ${one}`), 0);
    return (rate * input(inputs, "bytes log") * input(inputs, `postgres ${name}`)) / all;
  };
  const logMax = input(inputs, "megabytes of log a second of a database server") * 1e6;
  const cpusOf = (part: string): number => (rate * input(inputs, part)) / 1_000 / busy;
  const instances = new Map(
    PROGRAMS.map((name) => [name, Math.max(atLeast, Math.ceil(cpusOf(name)))]),
  );
  const servers = new Map(
    DATABASES.map((name) => {
      const parts = Math.max(cpusOf(`postgres ${name}`) / serverCpus, logOf(name) / logMax);
      return [name, Math.max(1, Math.ceil(parts))];
    }),
  );
  const bytes = DATABASES.reduce((sum, name) => sum + input(inputs, `bytes ${name}`), 0);
  const parts = [...PROGRAMS, ...DATABASES.map((name) => `postgres ${name}`)];
  return {
    instances,
    servers,
    cpus: Math.ceil(parts.reduce((sum, part) => sum + cpusOf(part), 0)),
    terabytesPerDay: (rate * bytes * 86_400) / 1e12,
  };
}

/** The rows of the document's tables whose first cell names something and whose second is a number. */
export function inputsIn(page: string): Inputs {
  const rows = page.matchAll(/^\| ([^|]+?) \| ([\d.,]+)[^|]*\|/gm);
  return new Map(
    [...rows].map(([, name = "", value = ""]) => [name, Number(value.replaceAll(",", ""))]),
  );
}
