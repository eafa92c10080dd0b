/** What has to be true: after every event, and at rest. Each rule answers with how it is broken. */
import type { State } from "./order.js";
import type { Customer } from "./simulation-customer.fixture.js";
import { PAYMENT_LIMIT_MS, type World } from "./simulation-instance.fixture.js";
import type { OrderRow } from "./simulation-orders.fixture.js";
import { addTo, cartIn, type Units } from "./simulation-shop.fixture.js";

/** docs/checkout.md, once more: the simulation does not take the saga's word for it. */
const NEXT: Readonly<Record<State, readonly State[]>> = {
  INTENT: ["CREATED", "ABANDONED"],
  ABANDONED: [],
  CREATED: ["APPROVED", "ITEMS_REJECTED"],
  APPROVED: ["PAID", "PAYMENT_FAILED"],
  PAID: [],
  PAYMENT_FAILED: [],
  ITEMS_REJECTED: [],
};

/** An order, and what the others have of it. */
interface Case extends Pick<OrderRow, "state" | "reason"> {
  row: OrderRow;
  stock: "none" | "HELD" | "SOLD" | "RELEASED";
  checkout: "none" | "TAKEN" | "ENDED";
  payment: "none" | "CHARGING" | "CHARGED" | "DECLINED" | "VOID";
  /** How often money was taken, and how much. */
  takes: number;
  takenMinor: number;
  /** Of its reservation, and of its checkout. */
  reserved: Units;
  aside: Units;
}

type Rule = [what: string, isKept: (one: Case) => boolean];

const isOneOf = <Value>(value: Value, ...values: Value[]): boolean => values.includes(value);
const isUnpaid = ({ payment }: Case): boolean => isOneOf(payment, "DECLINED", "VOID");
const isIntent = ({ state }: Case): boolean => isOneOf<State>(state, "INTENT", "ABANDONED");
const isFailed = ({ state }: Case): boolean =>
  isOneOf<State>(state, "ITEMS_REJECTED", "PAYMENT_FAILED");
const isPaying = ({ state }: Case): boolean => isOneOf<State>(state, "APPROVED", "PAID");

/** At every moment. */
const ALWAYS: Rule[] = [
  ["is charged at most once", ({ takes }) => takes <= 1],
  ["is charged only while its units are held or sold", (one) => one.takes === 0 || isHeld(one)],
  ["is charged only when it is APPROVED or PAID", (one) => one.takes === 0 || isPaying(one)],
  ["is charged at the provider, too", (one) => one.payment !== "CHARGED" || one.takes === 1],
  ["is not charged when payment says so", (one) => !isUnpaid(one) || one.takes === 0],
  [
    "is PAID only when it was charged",
    ({ state, payment }) => state !== "PAID" || payment === "CHARGED",
  ],
  [
    "is PAID with what it cost",
    (one) => one.state !== "PAID" || one.takenMinor === one.row.totalMinor,
  ],
  ["has its units when it is PAID", (one) => one.state !== "PAID" || isHeld(one)],
  ["is sold only when it is PAID", ({ stock, state }) => stock !== "SOLD" || state === "PAID"],
  ["has no hold before it is CREATED", (one) => !isIntent(one) || one.stock === "none"],
  [
    "has no payment before it is APPROVED",
    (one) => one.payment === "none" || isPaying(one) || one.state === "PAYMENT_FAILED",
  ],
  [
    "has its cart back only when it is ABANDONED",
    ({ state, checkout }) => state !== "INTENT" || checkout !== "ENDED",
  ],
  ["has sold what it lists and what was in the cart", (one) => one.state !== "PAID" || agrees(one)],
  [
    "is released only when it was refused or will never be charged",
    (one) => one.stock !== "RELEASED" || !isPaying(one) || isUnpaid(one),
  ],
  [
    "has its cart back only when it was refused or will never be charged",
    (one) => {
      if (one.checkout !== "ENDED") return true;
      if (one.state === "CREATED") return one.stock === "RELEASED";
      return one.state !== "APPROVED" || isUnpaid(one);
    },
  ],
  ["shows a failure when its cart is back", (one) => !isFailed(one) || one.checkout === "ENDED"],
  ["shows a failure when its stock is back", (one) => !isFailed(one) || one.stock === "RELEASED"],
  [
    "is PAYMENT_FAILED only when it never will be charged",
    (one) => one.state !== "PAYMENT_FAILED" || isUnpaid(one),
  ],
  [
    "is CANCELLED only when somebody asked for it",
    ({ reason, row }) => reason !== "CANCELLED" || row.cancelRequested,
  ],
  ["says why it failed", (one) => isFailed(one) === (one.reason !== "")],
  ["is never set aside", ({ row }) => row.setAsideReason === ""],
];

/** When nothing is under way any more. */
const AT_REST: Rule[] = [
  [
    "is final",
    (one) => !one.row.open && (isFailed(one) || isOneOf<State>(one.state, "PAID", "ABANDONED")),
  ],
  ["holds nothing", ({ stock }) => stock !== "HELD"],
  ["has sold its units when it is PAID", (one) => one.state !== "PAID" || one.stock === "SOLD"],
  ["has no cart aside", ({ checkout }) => checkout === "ENDED"],
  ["has no charge under way", ({ payment }) => payment !== "CHARGING"],
];

const NOTHING: Units = new Map();

const isHeld = ({ stock }: Case): boolean => isOneOf(stock, "HELD", "SOLD");

export class Audit {
  readonly #world: World;
  readonly #seen = new Map<number, { state: State; reason: string }>();

  constructor(world: World) {
    this.#world = world;
  }

  /** What is wrong now; undefined when nothing is. */
  look(rules: Rule[] = ALWAYS): string | undefined {
    const cases = [...this.#world.orders.rows.values()].map((row) => this.#caseOf(row));
    for (const one of cases) {
      for (const [what, isKept] of rules) {
        if (!isKept(one)) return `order ${one.row.id} ${what}: ${told(one)}`;
      }
      const wrong = this.#wrongMove(one);
      if (wrong) return `order ${one.row.id} ${wrong}: ${told(one)}`;
    }
    return wrongKeys(cases) ?? this.#wrongStock() ?? this.#wrongCarts();
  }

  atRest(customers: Customer[]): string | undefined {
    return this.look([...ALWAYS, ...AT_REST]) ?? this.#wrongAnswers(customers);
  }

  #caseOf(row: OrderRow): Case {
    const { carts, catalog, payments, provider } = this.#world;
    const { state, reason, id } = row;
    const reservation = catalog.reservations.get(id);
    const checkout = carts.checkouts.get(id);
    const taken = provider.taken.get(id);
    return {
      row,
      state,
      reason,
      stock: reservation?.state ?? "none",
      checkout: checkout?.state ?? "none",
      payment: payments.rows.get(id)?.state ?? "none",
      takes: taken?.times ?? 0,
      takenMinor: taken?.amountMinor ?? 0,
      reserved: reservation?.lines ?? NOTHING,
      aside: checkout?.lines ?? NOTHING,
    };
  }

  #wrongMove({ row, state, reason }: Case): string | undefined {
    const before = this.#seen.get(row.id) ?? { state: "INTENT", reason: "" };
    this.#seen.set(row.id, { state, reason });
    if (before.state === state) return before.reason === reason ? undefined : "changes its reason";
    if (!NEXT[before.state].includes(state)) return `was ${before.state} before`;
    const sinceMs = this.#world.scheduler.nowMs - (row.approvedAt?.getTime() ?? 0);
    const isEarly = reason === "PAYMENT_TIMEOUT" && sinceMs <= PAYMENT_LIMIT_MS;
    return isEarly ? `has timed out after ${sinceMs} ms` : undefined;
  }

  #wrongStock(): string | undefined {
    const { start, available, reservations } = this.#world.catalog;
    const found = new Map(available);
    for (const { state, lines } of reservations.values()) {
      if (state !== "RELEASED") addAll(found, lines);
    }
    for (const [productId, units] of start) {
      const free = available.get(productId) ?? 0;
      if (free < 0) return `product ${productId} is oversold`;
      const all = found.get(productId) ?? 0;
      if (all !== units) return `${all} units of product ${productId}, of ${units}`;
    }
    return undefined;
  }

  // Every unit that was put into a cart is in the cart, aside, or paid for: once.
  #wrongCarts(): string | undefined {
    const { carts, orders } = this.#world;
    for (const [userId, added] of carts.added) {
      const found: Units = new Map(cartIn(carts.carts, userId));
      for (const [orderId, { state, lines, userId: of }] of carts.checkouts) {
        const isPaid = orders.rows.get(orderId)?.state === "PAID";
        if (of === userId && (state === "TAKEN" || isPaid)) addAll(found, lines);
      }
      for (const productId of new Set([...added.keys(), ...found.keys()])) {
        const [units, all] = [found.get(productId) ?? 0, added.get(productId) ?? 0];
        if (units !== all) {
          return `user ${userId} has ${units} units of product ${productId}, of ${all} added`;
        }
      }
    }
    return undefined;
  }

  #wrongAnswers(customers: Customer[]): string | undefined {
    const purchaseOf = new Map<number, string>();
    for (const { userId, answers } of customers) {
      const first = new Map<string, string>();
      for (const { purchase, answer, orderId } of answers) {
        const standing = first.get(purchase) ?? answer;
        first.set(purchase, standing);
        if (standing !== answer) {
          return `purchase ${purchase} was answered with ${standing} and with ${answer}`;
        }
        if (orderId === undefined) continue;
        const row = this.#world.orders.rows.get(orderId);
        if (row?.userId !== userId || row.state === "ABANDONED") {
          return `user ${userId} was told of order ${orderId}, which is ${row?.state}`;
        }
        const other = purchaseOf.get(orderId) ?? purchase;
        purchaseOf.set(orderId, purchase);
        if (other !== purchase) return `order ${orderId} answers ${purchase} and ${other}`;
      }
    }
    return undefined;
  }
}

function addAll(units: Units, more: Units): void {
  for (const [productId, quantity] of more) addTo(units, productId, quantity);
}

const agrees = ({ row, reserved, aside }: Case): boolean =>
  [reserved, aside].every(
    (units) =>
      units.size === row.lines.length &&
      row.lines.every(({ productId, quantity }) => units.get(productId) === quantity),
  );

/** One key, one order; but an abandoned one gives its key back. */
function wrongKeys(cases: Case[]): string | undefined {
  const orders = new Map<string, number>();
  for (const { row, state } of cases) {
    if (row.idempotencyKey === "" || state === "ABANDONED") continue;
    const key = `${row.userId} ${row.idempotencyKey}`;
    const other = orders.get(key);
    if (other !== undefined) return `orders ${other} and ${row.id} have the same key`;
    orders.set(key, row.id);
  }
  return undefined;
}

const told = ({ state, reason, stock, checkout, payment, takes, row }: Case): string =>
  `${state} ${reason} (${row.open ? "open" : "over"}), stock ${stock}, checkout ${checkout}, ` +
  `payment ${payment}, charged ${takes} times`;
