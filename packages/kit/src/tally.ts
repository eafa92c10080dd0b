/**
 * Counters and histograms for what is counted with every request. prom-client finds the series of
 * each count by writing its labels out, which takes 1 to 2 µs; here it is found by one string.
 */
import type { Metric, Registry } from "prom-client";

export interface TallyOptions {
  name: string;
  help: string;
  labelNames: readonly string[];
  registry: Registry;
}

interface Value {
  metricName?: string;
  labels: Record<string, string | number>;
  value: number;
}

/** The series of one metric, by the values of their labels. */
abstract class Tally<Series> {
  readonly name: string;
  readonly #options: TallyOptions;
  readonly #series = new Map<string, { labels: Record<string, string>; series: Series }>();

  constructor(options: TallyOptions) {
    this.#options = options;
    this.name = options.name;
    options.registry.registerMetric(this as unknown as Metric);
  }

  protected abstract readonly type: "counter" | "histogram";
  protected abstract begin(): Series;
  protected abstract valuesOf(series: Series, labels: Record<string, string>): Value[];

  /** One whose labels have these values, in the order of their names. */
  protected of(values: readonly string[]): Series {
    const key = values.length === 1 ? (values[0] as string) : values.join("\n");
    const known = this.#series.get(key);
    if (known) return known.series;
    const labels = this.#options.labelNames.map((name, at) => [name, values[at] as string]);
    const series = this.begin();
    this.#series.set(key, { labels: Object.fromEntries(labels), series });
    return series;
  }

  /** What prom-client asks of a metric when its registry is read. */
  async get() {
    const values = [...this.#series.values()].flatMap(({ series, labels }) =>
      this.valuesOf(series, labels),
    );
    const { name, type } = this;
    return { name, type, help: this.#options.help, values, aggregator: "sum" };
  }
}

/** A counter. */
export class TallyCounter extends Tally<{ count: number }> {
  protected readonly type = "counter";

  add(count: number, ...values: string[]): void {
    this.of(values).count += count;
  }

  protected begin() {
    return { count: 0 };
  }

  protected valuesOf({ count }: { count: number }, labels: Record<string, string>): Value[] {
    return [{ labels, value: count }];
  }
}

interface Observed {
  /** By bucket; the last is for what is above all bounds. */
  counts: number[];
  sum: number;
}

/** A histogram; `buckets` are upper bounds, ascending. */
export class TallyHistogram extends Tally<Observed> {
  protected readonly type = "histogram";
  readonly #buckets: readonly number[];

  constructor({ buckets, ...options }: TallyOptions & { buckets: readonly number[] }) {
    super(options);
    this.#buckets = buckets;
  }

  observe(value: number, ...values: string[]): void {
    const series = this.of(values);
    let bucket = 0;
    while (value > (this.#buckets[bucket] ?? Number.POSITIVE_INFINITY)) bucket += 1;
    series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
    series.sum += value;
  }

  protected begin(): Observed {
    return { counts: new Array<number>(this.#buckets.length + 1).fill(0), sum: 0 };
  }

  protected valuesOf({ counts, sum }: Observed, labels: Record<string, string>): Value[] {
    let upTo = 0;
    const buckets = counts.map((count, at) => {
      upTo += count;
      const le = this.#buckets[at] ?? "+Inf";
      return { metricName: `${this.name}_bucket`, labels: { ...labels, le }, value: upTo };
    });
    return [
      ...buckets,
      { metricName: `${this.name}_sum`, labels, value: sum },
      { metricName: `${this.name}_count`, labels, value: upTo },
    ];
  }
}
