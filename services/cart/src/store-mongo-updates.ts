/** Each change of a cart as one atomic update operator of MongoDB. */
import type { Filter, UpdateFilter } from "mongodb";
import { type Cart, type Change, type Lines, QUANTITY_MAX } from "./cart.js";

/** What is not there yet, or no more, is left out. */
export interface CartDocument {
  /** The user's id. */
  _id: number;
  /** Gone after a Take, which renames it; then `checkouts` tells that there is a cart. */
  lines?: Record<string, number>;
  checkouts?: Record<string, Record<string, number>>;
  ended?: Record<string, 1>;
  floor?: number;
  erased?: true;
}

/** A conditional update: where it does not match, someone else changed the cart first. */
export interface Update {
  filter: Filter<CartDocument>;
  change: UpdateFilter<CartDocument>;
  /** True when it may be the first that is kept about the user. */
  upsert: boolean;
}

/** Of a Take. Lines that were added after the cart was read are taken as well. */
export const taking = (orderId: number): Update => ({
  filter: { lines: { $exists: true, $ne: {} }, ...untouched(orderId) },
  change: { $rename: { lines: `checkouts.${orderId}` } },
  upsert: false,
});

export const erasing: Update = {
  filter: {},
  change: {
    $set: { erased: true },
    $unset: { lines: "", checkouts: "", ended: "", floor: "" },
  },
  upsert: true,
};

export function changing(change: Change): Update {
  switch (change.kind) {
    case "add": {
      const { productId, quantity } = change;
      // The limit of products holds by the cart as it was read: products that are added in parallel
      // can pass it, by as many as they are.
      const spare = { $not: { $gt: QUANTITY_MAX - quantity } };
      return {
        filter: { ...kept, [`lines.${productId}`]: spare },
        change: { $inc: { [`lines.${productId}`]: quantity } },
        upsert: true,
      };
    }
    case "set":
      return {
        filter: { [`lines.${change.productId}`]: { $exists: true } },
        change: { $set: { [`lines.${change.productId}`]: change.quantity } },
        upsert: false,
      };
    case "remove":
      return {
        filter: { [`lines.${change.productId}`]: { $exists: true } },
        change: { $unset: { [`lines.${change.productId}`]: "" } },
        upsert: false,
      };
    case "clear":
      return {
        filter: { lines: { $exists: true } },
        change: { $set: { lines: {} } },
        upsert: false,
      };
  }
}

/** Ends a checkout, or marks one that was never taken; `back` are the lines that return. */
export function ending(
  orderId: number,
  { before, after, back }: { before: Cart; after: Cart; back: Lines },
): Update {
  const taken = before.checkouts[orderId] !== undefined;
  const pruned = Object.keys(before.ended).filter((id) => after.ended[id] === undefined);
  const gone = [`checkouts.${orderId}`, ...pruned.map((id) => `ended.${id}`)];
  const returning = Object.entries(back).map(([id, quantity]) => [`lines.${id}`, quantity]);
  return {
    // What is in a checkout never changes, so that its presence says all.
    filter: taken
      ? { [`checkouts.${orderId}`]: { $exists: true } }
      : { ...kept, ...untouched(orderId) },
    change: {
      $unset: Object.fromEntries(gone.map((path) => [path, ""])),
      $max: { floor: after.floor },
      ...(after.ended[orderId] && { $set: { [`ended.${orderId}`]: 1 } }),
      ...(returning.length > 0 && { $inc: Object.fromEntries(returning) }),
    },
    upsert: !taken,
  };
}

const kept = { erased: { $ne: true } } as const;

/** Neither taken nor ended. */
const untouched = (orderId: number): Filter<CartDocument> => ({
  [`checkouts.${orderId}`]: { $exists: false },
  [`ended.${orderId}`]: { $exists: false },
  floor: { $not: { $gte: orderId } },
});
