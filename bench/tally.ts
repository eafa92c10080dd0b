// What a load counts between the beginning and the end of what is measured.

const ERRORS_KEPT = 5;

export interface Figures {
  /** Units of work that ended well within the time. */
  readonly count: number;
  readonly errors: number;
  /** The first few, to see what went wrong. */
  readonly errorTexts: readonly string[];
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Requests per unit of work. */
  readonly requests: number;
}

/** Counts while it is on; errors always. */
export class Tally {
  isOn = false;
  #took = new Float64Array(1 << 14);
  #count = 0;
  #requests = 0;
  #errors = 0;
  readonly #errorTexts: string[] = [];

  add(tookMs: number, requests: number): void {
    if (!this.isOn) return;
    if (this.#count === this.#took.length) {
      const longer = new Float64Array(this.#took.length * 2);
      longer.set(this.#took);
      this.#took = longer;
    }
    this.#took[this.#count] = tookMs;
    this.#count += 1;
    this.#requests += requests;
  }

  fail(text: string): void {
    this.#errors += 1;
    if (this.#errorTexts.length < ERRORS_KEPT) this.#errorTexts.push(text);
  }

  figures(): Figures {
    const took = this.#took.subarray(0, this.#count).sort();
    const at = (part: number) => took[Math.floor((took.length - 1) * part)] ?? Number.NaN;
    return {
      count: this.#count,
      errors: this.#errors,
      errorTexts: this.#errorTexts,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      requests: this.#count === 0 ? 0 : this.#requests / this.#count,
    };
  }
}

/** How long it goes before what is counted, and how long that is. */
export interface Span {
  readonly leadMs: number;
  readonly ms: number;
}

export interface Timed {
  /** How long what was counted took in truth. */
  readonly ms: number;
  /** CPU time of this process meanwhile, in µs. */
  readonly cpuUs: number;
}

/** Lets the work that goes on be counted: resolves at the end of the span. */
export async function timed(
  { leadMs, ms }: Span,
  tallies: readonly Tally[],
  mark: (mark: "begin" | "end") => void,
): Promise<Timed> {
  await passed(leadMs);
  mark("begin");
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  for (const tally of tallies) tally.isOn = true;
  await passed(ms);
  for (const tally of tallies) tally.isOn = false;
  const tookMs = performance.now() - startMs;
  const { user, system } = process.cpuUsage(cpu);
  mark("end");
  return { ms: tookMs, cpuUs: user + system };
}

const passed = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
