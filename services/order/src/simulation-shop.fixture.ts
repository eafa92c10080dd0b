/**
 * Cart and catalog in memory: one entry per order id that only moves forward, as docs/checkout.md
 * has it.
 */
import { type BatchTakeResponse_Result, type Cart, CheckoutState } from "@piata/contracts/cart";
import { type Reservation, ReservationState } from "@piata/contracts/catalog";
import { failedPrecondition, invalidArgument } from "@piata/kit/errors";
import type { Order } from "./order.js";
import type { Scheduler } from "./simulation-scheduler.fixture.js";

/** Units by product id. */
export type Units = Map<number, number>;

export const PRODUCTS = [1, 2, 3, 4];
const LINES_MAX = 3;
const LINES_INVALID = invalidArgument("LINES_INVALID", `An order has 1 to ${LINES_MAX} lines.`);
const CURRENCY = "EUR";
export const priceMinor = (productId: number): number => productId * 100;

interface Checkout {
  userId: number;
  state: "TAKEN" | "ENDED";
  /** What was taken; stays, for those who look back. */
  lines: Units;
}

const EMPTY: BatchTakeResponse_Result = { state: CheckoutState.EMPTY, lines: [] };
const ENDED: BatchTakeResponse_Result = { state: CheckoutState.ENDED, lines: [] };

export class SimulatedCarts {
  /** What is in each user's cart. */
  readonly carts = new Map<number, Units>();
  /** All that each user ever added. */
  readonly added = new Map<number, Units>();
  readonly checkouts = new Map<number, Checkout>();
  protected readonly scheduler: Scheduler;

  constructor(scheduler: Scheduler) {
    this.scheduler = scheduler;
  }

  add(userId: number, productId: number, quantity: number): void {
    addTo(cartIn(this.carts, userId), productId, quantity);
    addTo(cartIn(this.added, userId), productId, quantity);
    this.scheduler.fact(`cart: user ${userId} has ${quantity} more of product ${productId}`);
  }

  cartOf(userId: number): Cart {
    return { userId, exists: this.carts.has(userId), lines: toLines(cartIn(this.carts, userId)) };
  }

  take(order: Order): BatchTakeResponse_Result {
    const { id, userId } = order;
    const standing = this.taken(order);
    const lines = cartIn(this.carts, userId);
    if (standing.state !== CheckoutState.EMPTY || lines.size === 0) return standing;
    this.carts.set(userId, new Map());
    this.checkouts.set(id, { userId, state: "TAKEN", lines });
    this.scheduler.fact(`cart: taken for order ${id}`);
    return this.taken(order);
  }

  taken({ id }: Order): BatchTakeResponse_Result {
    const checkout = this.checkouts.get(id);
    if (!checkout) return EMPTY;
    if (checkout.state === "ENDED") return ENDED;
    return { state: CheckoutState.TAKEN, lines: toLines(checkout.lines) };
  }

  restore(order: Order): void {
    const checkout = this.checkouts.get(order.id);
    if (checkout?.state === "TAKEN") this.putBack(order, checkout.lines);
    this.end(order);
  }

  forget(order: Order): void {
    this.end(order);
  }

  protected putBack({ userId }: Order, lines: Units): void {
    const cart = cartIn(this.carts, userId);
    for (const [productId, quantity] of lines) addTo(cart, productId, quantity);
  }

  /** Ends a checkout, or marks one that never was as ended. */
  protected end({ id, userId }: Order): void {
    const lines: Units = this.checkouts.get(id)?.lines ?? new Map();
    this.checkouts.set(id, { userId, state: "ENDED", lines });
    this.scheduler.fact(`cart: order ${id}'s checkout has ended`);
  }
}

interface Stocked {
  state: "HELD" | "SOLD" | "RELEASED";
  lines: Units;
  refusalReason: string;
}

export class SimulatedCatalog {
  /** What there was of each product, and what nobody has reserved or bought. */
  readonly start: Units;
  readonly available: Units;
  readonly reservations = new Map<number, Stocked>();
  protected readonly scheduler: Scheduler;

  constructor(scheduler: Scheduler, start: Units) {
    this.scheduler = scheduler;
    this.start = start;
    this.available = new Map(start);
  }

  reserve(order: Order): Reservation {
    // Whatever was decided before: this is looked at first.
    if (order.lines.length > LINES_MAX) throw LINES_INVALID;
    const standing = this.reservations.get(order.id);
    if (standing) return toReservation(standing);
    const refusalReason = this.#refusalOf(order);
    const lines: Units = new Map();
    if (refusalReason !== "") return this.put(order, { state: "RELEASED", lines, refusalReason });
    for (const { productId, quantity } of order.lines) {
      addTo(this.available, productId, -quantity);
      addTo(lines, productId, quantity);
    }
    return this.put(order, { state: "HELD", lines, refusalReason });
  }

  sell(order: Order): void {
    const standing = this.reservations.get(order.id);
    if (standing?.state === "SOLD") return;
    if (standing?.state !== "HELD") throw stateOf(order);
    this.put(order, { ...standing, state: "SOLD" });
  }

  release(order: Order): void {
    const standing = this.reservations.get(order.id);
    if (standing?.state === "SOLD") throw stateOf(order);
    if (standing?.state === "HELD") this.free(standing.lines);
    this.put(order, { lines: new Map(), refusalReason: "", ...standing, state: "RELEASED" });
  }

  protected free(lines: Units): void {
    for (const [productId, quantity] of lines) addTo(this.available, productId, quantity);
  }

  protected put({ id }: Order, stocked: Stocked): Reservation {
    this.reservations.set(id, stocked);
    this.scheduler.fact(`stock: order ${id} ${stocked.state} ${stocked.refusalReason}`);
    return toReservation(stocked);
  }

  #refusalOf({ lines, expectedTotalMinor }: Order): string {
    const short = lines.some(
      ({ productId, quantity }) => (this.available.get(productId) ?? 0) < quantity,
    );
    if (short) return "OUT_OF_STOCK";
    const isAsExpected = (expectedTotalMinor ?? totalOf(lines)) === totalOf(lines);
    return isAsExpected ? "" : "PRICE_CHANGED";
  }
}

const stateOf = ({ id }: Order) =>
  failedPrecondition("RESERVATION_STATE", `Order ${id} holds nothing, or has it for good.`);

/** What lines cost. */
const totalOf = (lines: { productId: number; quantity: number }[]): number =>
  lines.reduce((sum, { productId, quantity }) => sum + quantity * priceMinor(productId), 0);

function toReservation({ state, lines, refusalReason }: Stocked): Reservation {
  const held = toLines(lines);
  const amountMinor = totalOf(held);
  return {
    state: ReservationState[state],
    lines: held.map((line) => ({ ...line, unitPriceMinor: priceMinor(line.productId) })),
    refusalReason,
    shortages: [],
    ...(held.length > 0 && { total: { amountMinor, currencyCode: CURRENCY } }),
  };
}

export function addTo(units: Units, productId: number, quantity: number): void {
  units.set(productId, (units.get(productId) ?? 0) + quantity);
}

const toLines = (units: Units) =>
  [...units].map(([productId, quantity]) => ({ productId, quantity }));

/** A user's cart in one of the maps of carts. */
export function cartIn(carts: Map<number, Units>, userId: number): Units {
  let cart = carts.get(userId);
  if (!cart) {
    cart = new Map();
    carts.set(userId, cart);
  }
  return cart;
}
