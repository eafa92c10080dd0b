/**
 * The coalescer: callers ask for one thing, the far side is asked for many at once.
 *
 * What is asked for in one turn of the event loop goes out as one batch; while `maxInFlight`
 * batches are out, what comes waits, so that batches grow exactly when the far side is busy. The
 * same piece of code stands in front of every hot RPC, and of the statements that one process alone
 * would otherwise send one by one (orders, payments).
 */
import type { Context } from "./context.js";
import { deadlineExceeded, Failure, internal, resourceExhausted } from "./errors.js";
import { InProgress, type Placed } from "./in-progress.js";
import type { Queue } from "./metrics.js";
import type { Cause } from "./span.js";
import { causeOf, inBatch, isTracing } from "./tracing.js";

export interface CoalesceOptions<Item, Answer> {
  /** What is gathered, for messages and metrics. */
  name: string;
  /**
   * Settles a whole batch: one answer or Failure for each item, in order. What it throws, all get.
   * `merged` has the items of equal keys as well, whose askers wait for the same answers.
   */
  send(items: Item[], merged: Item[]): Promise<(Answer | Failure)[]>;
  /** Items of one batch with equal keys are sent once and share the answer. Only for reads. */
  key?(item: Item): string | number;
  /** Whom an item is for: each waits no longer than its own caller does. */
  context?(item: Item): Context;
  maxItems?: number;
  /** Batches that may be out at once; two keep one far side busy. */
  maxInFlight?(): number;
  /** How long a batch gathers before it goes out: for what nobody waits for. */
  lingerMs?: number;
  /** Items that may wait; one more is refused early instead of answered late. */
  maxWaiting?: number;
  /** Told the size of each batch. */
  observe?(items: number): void;
  /** Given how to look at what waits. */
  watch?(queue: () => Queue): void;
}

interface Waiting<Item, Answer> {
  item: Item;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
  /** By performance.now(). */
  sinceMs: number;
  /** The span that asks for it. */
  cause: Cause | undefined;
}

/** A batch that is out. */
interface Batch<Item, Answer> extends Placed {
  asked: Waiting<Item, Answer>[];
  sentMs: number;
}

/** How often those are answered whose time is over. */
const SWEEP_MS = 50;
/**
 * A batch that is out for longer holds its place no more, up to so many times the usual number: one
 * instance that hangs does not stop what others could answer.
 */
const STALLED_MS = 500;
const STALLED_TIMES_MAX = 4;

/**
 * Gathers what is asked for; answers each caller with what is its own. Throws its item's Failure;
 * RESOURCE_EXHAUSTED / QUEUE_FULL; DEADLINE_EXCEEDED / DEADLINE.
 */
export function coalesce<Item, Answer>(
  options: CoalesceOptions<Item, Answer>,
): (item: Item) => Promise<Answer> {
  const { name, send, key, context, observe } = options;
  const { maxItems = 500, maxInFlight = () => 2, maxWaiting = 20_000, lingerMs = 0 } = options;
  type Asked = Waiting<Item, Answer>;
  let waiting: Asked[] = [];
  const inFlight = new InProgress<Batch<Item, Answer>>();
  let scheduled = false;
  let sweeping = false;
  options.watch?.(() => ({
    items: waiting.length,
    itemsMax: maxWaiting,
    oldestMs: waiting[0] ? performance.now() - waiting[0].sinceMs : 0,
  }));

  function isBusy(): boolean {
    const most = maxInFlight();
    if (inFlight.size < most) return false;
    if (inFlight.size >= most * STALLED_TIMES_MAX) return true;
    const stalledMs = Date.now() - STALLED_MS;
    let moving = 0;
    for (const { sentMs } of inFlight) if (sentMs > stalledMs) moving += 1;
    return moving >= most;
  }

  function schedule(): void {
    if (scheduled || waiting.length === 0 || isBusy()) return;
    scheduled = true;
    const soon = lingerMs > 0 ? (go: () => void) => setTimeout(go, lingerMs) : setImmediate;
    soon(() => {
      scheduled = false;
      const all = context ? stillWanted(waiting, context) : waiting;
      const asked = all.length <= maxItems ? all : all.slice(0, maxItems);
      waiting = all.length <= maxItems ? [] : all.slice(maxItems);
      if (asked.length === 0) return;
      const batch = { asked, sentMs: Date.now(), place: -1 };
      inFlight.add(batch);
      void dispatch(asked).finally(() => {
        inFlight.delete(batch);
        schedule();
      });
      schedule();
    });
  }

  async function dispatch(batch: Asked[]): Promise<void> {
    try {
      const groups = key ? byKey(batch, key) : batch.map((one) => [one]);
      observe?.(groups.length);
      const items = groups.map(([first]) => (first as Asked).item);
      const merged = batch.map(({ item }) => item);
      const ask = () => send(items, merged);
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

  // One slow answer holds nobody for longer than they asked for: not those who wait for their turn
  // behind it, nor those of its own batch who are less patient than the others.
  function sweep(whose: (item: Item) => Context): void {
    if (sweeping) return;
    sweeping = true;
    setTimeout(() => {
      sweeping = false;
      waiting = stillWanted(waiting, whose);
      for (const { asked } of inFlight) stillWanted(asked, whose);
      schedule();
      if (waiting.length + inFlight.size > 0) sweep(whose);
    }, SWEEP_MS).unref();
  }

  return (item) =>
    new Promise<Answer>((resolve, reject) => {
      if (waiting.length >= maxWaiting) {
        reject(resourceExhausted("QUEUE_FULL", "Too much is waiting already; try again soon."));
        return;
      }
      const cause = isTracing() ? causeOf(context?.(item)) : undefined;
      waiting.push({ item, resolve, reject, sinceMs: performance.now(), cause });
      schedule();
      if (context) sweep(context);
    });
}

/** Those whose callers still wait; the others are answered. */
function stillWanted<Item, Answer>(
  waiting: Waiting<Item, Answer>[],
  context: (item: Item) => Context,
): Waiting<Item, Answer>[] {
  const nowMs = Date.now();
  return waiting.filter(({ item, reject }) => {
    const { deadlineMs, caller } = context(item);
    const isWanted = deadlineMs > nowMs && !caller?.isGone;
    if (!isWanted) reject(tooLate());
    return isWanted;
  });
}

const tooLate = (): Failure =>
  deadlineExceeded("DEADLINE", "It waited for its turn for longer than its caller waits.");

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
