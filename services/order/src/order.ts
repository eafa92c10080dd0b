/**
 * The whole life of an order. Nothing else in the system changes a state.
 *
 *   INTENT --> CREATED --> APPROVED --> PAID
 *     |           |            `------> PAYMENT_FAILED
 *     |           `-------------------> ITEMS_REJECTED
 *     `--> ABANDONED
 *
 * An INTENT is an order whose cart may not have been taken yet; nobody was told of it, nor ever is
 * of an ABANDONED one. A failed order shows its state only when its stock and its cart are back.
 */
import type { OrderLine } from "@piata/contracts/order";

export type State =
  | "INTENT"
  | "ABANDONED"
  | "CREATED"
  | "APPROVED"
  | "PAID"
  | "PAYMENT_FAILED"
  | "ITEMS_REJECTED";

const NEXT: Readonly<Record<State, readonly State[]>> = {
  INTENT: ["CREATED", "ABANDONED"],
  ABANDONED: [],
  CREATED: ["APPROVED", "ITEMS_REJECTED"],
  APPROVED: ["PAID", "PAYMENT_FAILED"],
  PAID: [],
  PAYMENT_FAILED: [],
  ITEMS_REJECTED: [],
};

/** Final states that owe something still: PAID the sale, both the end of the checkout. */
const SETTLED_LAST: ReadonlySet<State> = new Set(["PAID", "ABANDONED"]);

const OWING: ReadonlySet<State> = new Set(["INTENT", "CREATED", "APPROVED", ...SETTLED_LAST]);

export interface Order {
  id: number;
  userId: number;
  state: State;
  /** Why it failed; empty otherwise. */
  reason: string;
  paymentMethod: string;
  /** What the customer expects to pay, when they said so. */
  expectedTotalMinor: number | null;
  lines: OrderLine[];
  /** Unknown until the stock is held. */
  totalMinor: number | null;
  currencyCode: string | null;
  traceId: string;
  approvedAt: Date | null;
  /** The customer wants it undone, if it is not too late. */
  cancelRequested: boolean;
  /** What was given back, and what is being given back. */
  refundedMinor: number;
  /** Why nobody works on it any more; empty otherwise. */
  setAsideReason: string;
  /** How often it was put off since its last move. */
  tries: number;
  /** False once the last obligation has answered. */
  open: boolean;
  createdAt: Date;
}

/** One step of an order, as the store writes it: only if the order is still in `from`. */
export interface Move {
  from: State;
  order: Order;
  change: Change;
}

/** What a move may bring with it. */
export type Change = Partial<Pick<Order, "reason" | "lines" | "totalMinor" | "currencyCode">>;

/** Throws on a move that the table does not have: that is a bug. */
export function move(order: Order, to: State, change: Change = {}): Move {
  if (!NEXT[order.state].includes(to)) {
    throw new Error(`A ${order.state} order cannot become ${to} (order ${order.id}).`);
  }
  return {
    from: order.state,
    order: { ...order, ...change, state: to, tries: 0, open: OWING.has(to) },
    change,
  };
}

/** The last obligation of a paid or abandoned order has answered. */
export function settle(order: Order): Move {
  if (!SETTLED_LAST.has(order.state)) {
    throw new Error(`Order ${order.id} is ${order.state}; that is not settled.`);
  }
  return { from: order.state, order: { ...order, open: false }, change: {} };
}
