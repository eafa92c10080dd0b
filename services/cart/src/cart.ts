/**
 * What is kept about one user's cart, and every way in which it changes.
 *
 * A checkout is the lines that an order took aside. Per order id it only moves forward,
 * none -> TAKEN -> ENDED (its lines put back, or sold), and what never was taken can end too: a
 * late or repeated step finds that and changes nothing.
 *
 * The functions are pure. One that changes nothing answers with the very cart it was given.
 */
import type { Line } from "@piata/contracts/cart";
import { type Failure, failedPrecondition, invalidArgument, notFound } from "@piata/kit/errors";

/** The most of one product that may be added up in a cart. */
export const QUANTITY_MAX = 999;
/** The most products that an Add leaves in a cart. */
export const PRODUCTS_MAX = 100;
/**
 * The ended checkouts that are remembered one by one. Each is read and written with every change
 * of the cart, and `floor` speaks for the others.
 */
export const ENDED_MAX = 16;

/** Quantities by product id. */
export type Lines = Readonly<Record<string, number>>;

export interface Cart {
  /** True once a change created it; an emptied cart still exists. */
  readonly exists: boolean;
  readonly lines: Lines;
  /** The lines that are aside, by order id. */
  readonly checkouts: Readonly<Record<string, Lines>>;
  /** The order ids whose checkouts ended last. */
  readonly ended: Readonly<Record<string, 1>>;
  /**
   * Every order id up to this one has ended, unless it has a checkout still: so `ended` does not
   * grow for ever. It harms no live order. What was taken stays valid, for its checkout is looked
   * for first. And order ids grow: when an order that has yet to take is this far behind, the same
   * user has ended ENDED_MAX newer ones meanwhile, its intent has long given up, and being refused
   * leaves the lines in the cart.
   */
  readonly floor: number;
  /** The user was deleted, for good. */
  readonly erased: boolean;
}

export const NO_CART: Cart = {
  exists: false,
  lines: {},
  checkouts: {},
  ended: {},
  floor: 0,
  erased: false,
};

export const ERASED: Cart = { ...NO_CART, erased: true };

export type Change =
  | { kind: "add" | "set"; productId: number; quantity: number }
  | { kind: "remove"; productId: number }
  | { kind: "clear" };

export interface Checkout {
  /** EMPTY when nothing was taken, and nothing ended. */
  state: "EMPTY" | "TAKEN" | "ENDED";
  /** Of a TAKEN one, by product id. */
  lines: Line[];
}

/** The answer of a step that has nothing to tell. */
export type Done = Record<string, never>;
export const DONE: Done = {};

export interface Outcome<Answer> {
  cart: Cart;
  answer: Answer | Failure;
}

/** Throws INVALID_ARGUMENT / QUANTITY_INVALID. */
export function checkedQuantity(quantity: number): number {
  if (!Number.isInteger(quantity) || quantity < 1 || quantity > QUANTITY_MAX) {
    throw invalidArgument("QUANTITY_INVALID", `quantity must be from 1 to ${QUANTITY_MAX}.`, {
      field: "quantity",
      max: String(QUANTITY_MAX),
    });
  }
  return quantity;
}

/** The lines in order of product id. */
export function toLines(lines: Lines): Line[] {
  return Object.entries(lines)
    .map(([productId, quantity]) => ({ productId: Number(productId), quantity }))
    .sort((a, b) => a.productId - b.productId);
}

/**
 * Failures: NOT_FOUND / USER_NOT_FOUND, CART_LINE_NOT_FOUND; FAILED_PRECONDITION / QUANTITY_LIMIT,
 * CART_FULL.
 */
export function applyChange(cart: Cart, change: Change): Outcome<Done> {
  if (cart.erased) {
    return { cart, answer: notFound("USER_NOT_FOUND", "The user was deleted.") };
  }
  switch (change.kind) {
    case "add":
      return add(cart, change);
    case "set": {
      const { productId, quantity } = change;
      if (!has(cart, productId)) return { cart, answer: lineNotFound(productId) };
      if (cart.lines[productId] === quantity) return { cart, answer: DONE };
      return { cart: { ...cart, lines: { ...cart.lines, [productId]: quantity } }, answer: DONE };
    }
    case "remove": {
      const { productId } = change;
      if (!has(cart, productId)) return { cart, answer: lineNotFound(productId) };
      const { [productId]: _, ...lines } = cart.lines;
      return { cart: { ...cart, lines }, answer: DONE };
    }
    case "clear":
      return { cart: isEmpty(cart) ? cart : { ...cart, lines: {} }, answer: DONE };
  }
}

function add(cart: Cart, { productId, quantity }: { productId: number; quantity: number }) {
  const quantityThen = (cart.lines[productId] ?? 0) + quantity;
  if (quantityThen > QUANTITY_MAX) return { cart, answer: quantityLimit(productId) };
  if (!has(cart, productId) && Object.keys(cart.lines).length >= PRODUCTS_MAX) {
    return { cart, answer: cartFull() };
  }
  const lines = { ...cart.lines, [productId]: quantityThen };
  return { cart: { ...cart, exists: true, lines }, answer: DONE };
}

/** How an order's checkout stands. */
export function checkoutOf(cart: Cart, orderId: number): Checkout {
  const lines = cart.checkouts[orderId];
  if (lines) return { state: "TAKEN", lines: toLines(lines) };
  return { state: hasEnded(cart, orderId) ? "ENDED" : "EMPTY", lines: [] };
}

/** Takes all lines aside for an order, once. */
export function take(cart: Cart, orderId: number): Outcome<Checkout> {
  const standing = checkoutOf(cart, orderId);
  if (standing.state !== "EMPTY" || isEmpty(cart)) return { cart, answer: standing };
  const checkouts = { ...cart.checkouts, [orderId]: cart.lines };
  const after = { ...cart, lines: {}, checkouts };
  return { cart: after, answer: checkoutOf(after, orderId) };
}

/**
 * Ends a checkout by adding its lines to what is in the cart by now. Limits do not hold here:
 * nothing of the customer's is lost.
 */
export function restore(cart: Cart, orderId: number): Outcome<Done> {
  const lines: Record<string, number> = { ...cart.lines };
  for (const [productId, quantity] of Object.entries(cart.checkouts[orderId] ?? {})) {
    lines[productId] = (lines[productId] ?? 0) + quantity;
  }
  return { cart: end(cart, orderId, lines), answer: DONE };
}

/** Ends a checkout by dropping its lines: they are sold. */
export function forget(cart: Cart, orderId: number): Outcome<Done> {
  return { cart: end(cart, orderId, cart.lines), answer: DONE };
}

/** Drops all that is kept about the user. */
export function erase(cart: Cart): Outcome<Done> {
  return { cart: cart.erased ? cart : ERASED, answer: DONE };
}

function end(cart: Cart, orderId: number, lines: Lines): Cart {
  if (cart.erased || checkoutOf(cart, orderId).state === "ENDED") return cart;
  const { [orderId]: _, ...checkouts } = cart.checkouts;
  // Whoever is below the floor has ended without an entry of its own.
  if (orderId <= cart.floor) return { ...cart, lines, checkouts };
  return { ...cart, lines, checkouts, ...pruned({ ...cart.ended, [orderId]: 1 }, cart.floor) };
}

function pruned(ended: Cart["ended"], floor: number): Pick<Cart, "ended" | "floor"> {
  // Whole numbers are an object's first keys, in their order.
  const oldestFirst = Object.keys(ended);
  const surplus = oldestFirst.length - ENDED_MAX;
  if (surplus <= 0) return { ended, floor };
  const kept = oldestFirst.slice(surplus).map((orderId) => [orderId, 1] as const);
  return { ended: Object.fromEntries(kept), floor: Number(oldestFirst[surplus - 1]) };
}

const has = ({ lines }: Cart, productId: number): boolean => lines[productId] !== undefined;

const isEmpty = ({ lines }: Cart): boolean => Object.keys(lines).length === 0;

const hasEnded = ({ ended, floor }: Cart, orderId: number): boolean =>
  orderId <= floor || ended[orderId] !== undefined;

const lineNotFound = (productId: number): Failure =>
  notFound("CART_LINE_NOT_FOUND", `There is no product ${productId} in the cart.`, {
    productId: String(productId),
  });

const quantityLimit = (productId: number): Failure =>
  failedPrecondition(
    "QUANTITY_LIMIT",
    `A cart takes at most ${QUANTITY_MAX} of a product; product ${productId} would pass that.`,
    { productId: String(productId), max: String(QUANTITY_MAX) },
  );

const cartFull = (): Failure =>
  failedPrecondition("CART_FULL", `A cart takes at most ${PRODUCTS_MAX} products.`, {
    max: String(PRODUCTS_MAX),
  });
