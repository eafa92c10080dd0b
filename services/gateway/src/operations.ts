/**
 * What a request asked for, by its root fields. Their names are the schema's, a closed set: what a
 * client calls its operations and its answers is never a label.
 */
import type { Metrics } from "@piata/kit/metrics";
import { TallyCounter, TallyHistogram } from "@piata/kit/tally";
import type { Resolvers } from "./resolvers.js";

/** A root field that a request asked for. */
export interface Asked {
  /** "Query.product". */
  operation: string;
  /** Under which key its answer stands. */
  key: string;
}

/** Given to every resolver. */
export interface Asking {
  readonly asked: Asked[];
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
/** Of the fields that a span is named by. */
const NAMED_MAX = 3;

/** Has each root field's resolver note on the request that it was asked. */
export function noting(resolvers: Resolvers): Resolvers {
  const noted = Object.entries(resolvers).map(([type, fields]) => {
    if (type !== "Query" && type !== "Mutation") return [type, fields];
    const wrapped = Object.entries(fields).map(([field, resolve]) => {
      const operation = `${type}.${field}`;
      const note: typeof resolve = (parent, args, context: Asking, info) => {
        context.asked.push({ operation, key: String(info.path.key) });
        return resolve(parent, args, context, info);
      };
      return [field, note];
    });
    return [type, Object.fromEntries(wrapped)];
  });
  return Object.fromEntries(noted);
}

/** The names of the fields that were asked, for a span. */
export function operationsOf({ asked }: Asking): string {
  const names = [...new Set(asked.map(({ operation }) => operation))];
  const more = names.length > NAMED_MAX ? ", …" : "";
  return names.length === 0 ? "request" : `${names.slice(0, NAMED_MAX).join(", ")}${more}`;
}

/** Counts the root fields that were answered, each with the code of its own first error. */
export class Operations {
  readonly #answered: TallyCounter;
  readonly #seconds: TallyHistogram;

  constructor({ registry }: Metrics) {
    this.#answered = new TallyCounter({
      name: "piata_operations_total",
      help: "Root fields answered.",
      labelNames: ["operation", "code"],
      registry,
    });
    this.#seconds = new TallyHistogram({
      name: "piata_operation_seconds",
      help: "How long the requests took that asked for a root field.",
      labelNames: ["operation"],
      buckets: SECONDS,
      registry,
    });
  }

  /** `codes` are those of the request's errors, by the first part of their paths. */
  answer(
    { asked }: Asking,
    codes: ReadonlyMap<unknown, string> | undefined,
    startMs: number,
  ): void {
    const seconds = (performance.now() - startMs) / 1000;
    for (const { operation, key } of asked) {
      this.#answered.add(1, operation, codes?.get(key) ?? "OK");
      this.#seconds.observe(seconds, operation);
    }
  }
}
