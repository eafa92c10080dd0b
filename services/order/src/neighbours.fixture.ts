/** What the unit tests share: participants in memory that keep the promises of the real ones. */
import { type BatchTakeResponse_Result, type Cart, CheckoutState } from "@piata/contracts/cart";
import { type Reservation, ReservationState } from "@piata/contracts/catalog";
import type { OrderLine } from "@piata/contracts/order";
import { type Payment, PaymentState } from "@piata/contracts/payment";
import type { Context } from "@piata/kit/context";
import type { Order } from "./order.js";
import type { Participants } from "./participants.js";

export const TRACE_ID = "0".repeat(32);
const PRICE_MINOR = 100;

/** An order of user 1 for two units of product 1. */
export const aCreatedOrder = (id: number): Order => ({
  id,
  userId: 1,
  state: "CREATED",
  reason: "",
  paymentMethod: "success",
  expectedTotalMinor: null,
  lines: [{ productId: 1, quantity: 2 }],
  totalMinor: null,
  currencyCode: null,
  traceId: TRACE_ID,
  approvedAt: null,
  cancelRequested: false,
  refundedMinor: 0,
  setAsideReason: "",
  tries: 0,
  open: true,
  createdAt: new Date(0),
});

export type Call = keyof Participants;

const ENDED = { state: CheckoutState.ENDED, lines: [] };
const EMPTY = { state: CheckoutState.EMPTY, lines: [] };
const answer = (state: PaymentState, declineReason = ""): Payment => ({ state, declineReason });

/**
 * Cart, catalog and payment of one user's orders: one entry per order id that only moves forward.
 */
export class Neighbours implements Participants {
  /** What was asked, in order: "reserve", and what the test adds. */
  readonly calls: string[] = [];
  cart: OrderLine[] = [];
  readonly checkouts = new Map<number, BatchTakeResponse_Result>();
  available = 10;
  readonly reservations = new Map<number, Reservation>();
  /** What the provider would say. */
  verdict: Payment = answer(PaymentState.CHARGED);
  readonly payments = new Map<number, Payment>();
  /**
   * Told before a call takes effect and after it did; what it throws or waits for, the caller does.
   */
  interfere: (call: Call, when: "before" | "after") => Promise<void> | void = () => undefined;

  cartOf(_: Context): Promise<Cart> {
    return this.#do("cartOf", () => ({ userId: 1, exists: true, lines: [...this.cart] }));
  }

  take({ id }: Order): Promise<BatchTakeResponse_Result> {
    return this.#do("take", () => {
      const standing = this.checkouts.get(id);
      if (standing) return standing;
      if (this.cart.length === 0) return EMPTY;
      const taken = { state: CheckoutState.TAKEN, lines: this.cart };
      this.checkouts.set(id, taken);
      this.cart = [];
      return taken;
    });
  }

  taken({ id }: Order): Promise<BatchTakeResponse_Result> {
    return this.#do("taken", () => this.checkouts.get(id) ?? EMPTY);
  }

  restore({ id }: Order): Promise<void> {
    return this.#do("restore", () => {
      this.cart = [...this.cart, ...(this.checkouts.get(id)?.lines ?? [])];
      this.checkouts.set(id, ENDED);
    });
  }

  forget({ id }: Order): Promise<void> {
    return this.#do("forget", () => {
      this.checkouts.set(id, ENDED);
    });
  }

  reserve(order: Order): Promise<Reservation> {
    return this.#do("reserve", () => this.#reserve(order));
  }

  sell({ id }: Order): Promise<void> {
    return this.#do("sell", () => {
      const standing = this.reservations.get(id);
      if (standing) this.reservations.set(id, { ...standing, state: ReservationState.SOLD });
    });
  }

  release({ id }: Order): Promise<void> {
    return this.#do("release", () => {
      const standing = this.reservations.get(id) ?? refused("");
      if (standing.state === ReservationState.HELD) this.available += unitsOf(standing.lines);
      this.reservations.set(id, { ...standing, state: ReservationState.RELEASED });
    });
  }

  charge({ id }: Order): Promise<Payment> {
    return this.#do("charge", () => this.#pay(id, this.verdict));
  }

  void({ id }: Order): Promise<Payment> {
    return this.#do("void", () => this.#pay(id, answer(PaymentState.VOID)));
  }

  /** What there is at rest. */
  atRest() {
    const { cart, available, checkouts, reservations, payments } = this;
    const state = (entries: Map<number, { state: number }>) =>
      [...entries].map(([id, entry]) => [id, entry.state]);
    return {
      cart,
      available,
      checkouts: state(checkouts),
      reservations: state(reservations),
      payments: state(payments),
    };
  }

  #reserve({ id, lines }: Order): Reservation {
    const standing = this.reservations.get(id);
    if (standing) return standing;
    const units = unitsOf(lines);
    const fits = units <= this.available;
    if (fits) this.available -= units;
    const reservation = fits
      ? {
          state: ReservationState.HELD,
          lines: lines.map((line) => ({ ...line, unitPriceMinor: PRICE_MINOR })),
          refusalReason: "",
          shortages: [],
          total: { amountMinor: units * PRICE_MINOR, currencyCode: "EUR" },
        }
      : refused("OUT_OF_STOCK");
    this.reservations.set(id, reservation);
    return reservation;
  }

  #pay(id: number, verdict: Payment): Payment {
    const standing = this.payments.get(id) ?? verdict;
    if (standing.state !== PaymentState.PENDING) this.payments.set(id, standing);
    return standing;
  }

  async #do<Answer>(call: Call, effect: () => Answer): Promise<Answer> {
    await this.interfere(call, "before");
    this.calls.push(call);
    const result = effect();
    await this.interfere(call, "after");
    return result;
  }
}

const refused = (refusalReason: string): Reservation => ({
  state: ReservationState.RELEASED,
  lines: [],
  refusalReason,
  shortages: [],
});

const unitsOf = (lines: { quantity: number }[]): number =>
  lines.reduce((sum, { quantity }) => sum + quantity, 0);
