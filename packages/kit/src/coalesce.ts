/**
 * The coalescer: callers ask for one thing, the far side is asked for many at once.
 *
 * What is asked for in one turn of the event loop goes out as one batch; while `maxInFlight`
 * batches are out, what comes waits, so that batches grow exactly when the far side is busy. The
 * same piece of code stands in front of every hot RPC, and of the statements that one process alone
 * would otherwise send one by one (orders, payments).
 */
import { Failure, internal, resourceExhausted } from "./errors.js";
import type { Queue } from "./metrics.js";
import type { Cause } from "./span.js";
import { causeOf, inBatch, isTracing } from "./tracing.js";

export interface CoalesceOptions<Item, Answer> {
  /** What is gathered, for messages and metrics. */
  name: string;
  /**
   * Settles a whole batch: one answer or Failure for each item, in order. What it throws, all get.
   */
  send(items: Item[]): Promise<(Answer | Failure)[]>;
  /** Items of one batch with equal keys are sent once and share the answer. Only for reads. */
  key?(item: Item): string | number;
  maxItems?: number;
  maxInFlight?: number;
  /** Items that may wait; one more is refused early instead of answered late. */
  maxWaiting?: number;
  /** Told the size of each batch. */
  observe?(items: number): void;
  /** Given how to look at what waits. */
  watch?(queue: () => Queue): void;
  /** The span that an item is asked for by; what is being done at the time without. */
  cause?(item: Item): Cause;
}

interface Waiting<Item, Answer> {
  item: Item;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
  /** By performance.now(). */
  sinceMs: number;
  cause: Cause | undefined;
}

/**
 * Gathers what is asked for; answers each caller with what is its own. Throws its item's Failure.
 */
export function coalesce<Item, Answer>(
  options: CoalesceOptions<Item, Answer>,
): (item: Item) => Promise<Answer> {
  const { name, send, key, observe } = options;
  const { maxItems = 500, maxInFlight = 2, maxWaiting = 20_000 } = options;
  let waiting: Waiting<Item, Answer>[] = [];
  let inFlight = 0;
  let scheduled = false;
  options.watch?.(() => ({
    items: waiting.length,
    itemsMax: maxWaiting,
    oldestMs: waiting[0] ? performance.now() - waiting[0].sinceMs : 0,
  }));

  function schedule(): void {
    if (scheduled || waiting.length === 0 || inFlight >= maxInFlight) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      const batch = waiting.length <= maxItems ? waiting : waiting.slice(0, maxItems);
      waiting = waiting.length <= maxItems ? [] : waiting.slice(maxItems);
      inFlight += 1;
      void dispatch(batch).finally(() => {
        inFlight -= 1;
        schedule();
      });
      schedule();
    });
  }

  async function dispatch(batch: Waiting<Item, Answer>[]): Promise<void> {
    try {
      const groups = key ? byKey(batch, key) : batch.map((one) => [one]);
      observe?.(groups.length);
      const ask = () => send(groups.map(([first]) => (first as Waiting<Item, Answer>).item));
      const answers = await (isTracing() ? inBatch(name, batch, ask) : ask());
      const got = answers.length;
      groups.forEach((group, index) => {
        const answer =
          index < got
            ? (answers[index] as Answer | Failure)
            : internal(new Error(`${name}: ${got} answers for ${groups.length} items`));
        for (const one of group) {
          if (answer instanceof Failure) one.reject(answer);
          else one.resolve(answer);
        }
      });
    } catch (error) {
      for (const one of batch) one.reject(error);
    }
  }

  return (item) =>
    new Promise<Answer>((resolve, reject) => {
      if (waiting.length >= maxWaiting) {
        reject(resourceExhausted("QUEUE_FULL", "Too much is waiting already; try again soon."));
        return;
      }
      const cause = isTracing() ? causeOf(options.cause?.(item)) : undefined;
      waiting.push({ item, resolve, reject, sinceMs: performance.now(), cause });
      schedule();
    });
}

function byKey<Item, Answer>(
  batch: Waiting<Item, Answer>[],
  key: (item: Item) => string | number,
): Waiting<Item, Answer>[][] {
  const groups = new Map<string | number, Waiting<Item, Answer>[]>();
  for (const one of batch) {
    const group = groups.get(key(one.item));
    if (group) group.push(one);
    else groups.set(key(one.item), [one]);
  }
  return [...groups.values()];
}
