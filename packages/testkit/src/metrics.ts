/** What a program shows on /metrics. */

/** One line of it. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ShownMetrics {
  readonly samples: readonly Sample[];
  /** "counter" and the like, by the name of the metric; a histogram has several names of samples. */
  readonly types: ReadonlyMap<string, string>;
}

/** What a program shows now. */
export async function metricsOf({
  httpAddress,
}: {
  readonly httpAddress?: string;
}): Promise<ShownMetrics> {
  const text = await (await fetch(`http://${httpAddress}/metrics`)).text();
  const types = new Map<string, string>();
  for (const [, name = "", type = ""] of text.matchAll(/^# TYPE (\w+) (\w+)$/gm)) {
    types.set(name, type);
  }
  const lines = text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm);
  const samples = [...lines].map(([, name = "", list = "", value]) => {
    const labels = list.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g);
    return {
      name,
      labels: Object.fromEntries([...labels].map(([, label = "", said = ""]) => [label, said])),
      value: Number(value),
    };
  });
  return { samples, types };
}

/** The sum of all samples of a name whose labels are what is wanted. */
export function sumOf(
  { samples }: ShownMetrics,
  name: string,
  isWanted: (labels: Sample["labels"]) => boolean,
): number {
  const wanted = samples.filter((sample) => sample.name === name && isWanted(sample.labels));
  return wanted.reduce((sum, { value }) => sum + value, 0);
}
