/**
 * The two ends of a batched RPC: each item has its own identity, its own check and its own answer.
 */
import type { ItemContext } from "@piata/contracts/item";
import type { Status } from "@piata/contracts/rpc/status";
import { coalesce } from "./coalesce.js";
import { type Context, together, toItemContext } from "./context.js";
import { Failure, fromStatus, invalidArgument, toStatus } from "./errors.js";
import type { Metrics } from "./metrics.js";
import type { Unary } from "./rpc-client.js";

/** The most items that a batched RPC takes. */
export const ITEMS_MAX = 1000;

/**
 * The server's end. `check` turns an item into what the store takes, or throws the item's Failure;
 * `settle` is called once with all that passed and answers in order; a bad item never fails its
 * neighbours. Throws INVALID_ARGUMENT / TOO_MANY_ITEMS.
 */
export async function answerEach<Item, Checked, Answer>(
  items: Item[],
  check: (item: Item) => Checked,
  settle: (checked: Checked[]) => Promise<(Answer | Failure)[]>,
): Promise<(Answer | { failure: Status })[]> {
  if (items.length > ITEMS_MAX) {
    throw invalidArgument("TOO_MANY_ITEMS", `At most ${ITEMS_MAX} items fit in one call.`);
  }
  const results = new Array<Answer | { failure: Status }>(items.length);
  const passed: Checked[] = [];
  const places: number[] = [];
  items.forEach((item, place) => {
    try {
      passed.push(check(item));
      places.push(place);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      results[place] = { failure: toStatus(error) };
    }
  });
  if (passed.length > 0) {
    const answers = await settle(passed);
    if (answers.length !== passed.length) {
      throw new Error(`${answers.length} answers were made for ${passed.length} items`);
    }
    places.forEach((place, index) => {
      const answer = answers[index] as Answer | Failure;
      results[place] = answer instanceof Failure ? { failure: toStatus(answer) } : answer;
    });
  }
  return results;
}

export interface BatchedOptions<Item> {
  name: string;
  metrics: Metrics;
  /** Equal keys share one answer. Only for reads whose answer does not depend on who asks. */
  key?(item: Item): string | number;
  /** How long a batch gathers before it goes out: for what nobody waits for. */
  lingerMs?: number;
}

interface Asked<Item> {
  context: Context;
  item: Item;
}

/** So many batches keep one instance of the far side busy: one at work and one on its way. */
const BATCHES_PER_INSTANCE = 2;

/** The client's end: asks for one item through a batched RPC. Throws the item's Failure. */
export function batched<
  Item extends { context?: ItemContext | undefined },
  Result extends { failure?: Status | undefined },
>(
  rpc: Unary<{ items: Item[] }, { results: Result[] }>,
  options: BatchedOptions<Omit<Item, "context">>,
): (context: Context, item: Omit<Item, "context">) => Promise<Result> {
  const { name, metrics, key, lingerMs = 0 } = options;
  const ask = coalesce<Asked<Omit<Item, "context">>, Result>({
    ...metrics.batches(name),
    ...(key && { key: ({ item }) => key(item) }),
    lingerMs,
    context: ({ context }) => context,
    maxInFlight: () => BATCHES_PER_INSTANCE * rpc.instances(),
    async send(asked, merged) {
      const nowMs = Date.now();
      const items = asked.map(
        ({ context, item }) =>
          ({ ...item, context: toItemContext(context, nowMs) }) as unknown as Item,
      );
      const { results } = await rpc({ items }, together(merged.map(({ context }) => context)));
      return results.map((result) => (result.failure ? fromStatus(result.failure) : result));
    },
  });
  return (context, item) => ask({ context, item });
}
