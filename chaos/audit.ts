// Holds the books against each other and against what the customers saw. Pure: it reads nothing itself.
import type { Books, Movement, OrderRow } from "./books.ts";
import { isFinal, type Journal, type Purchase } from "./journal.ts";

export interface Check {
  readonly what: string;
  /** Things that were compared. */
  readonly compared: number;
  /** A sentence for each that is off. */
  readonly differences: readonly string[];
}

type Known = Pick<Journal, "products" | "shoppers" | "purchases">;

/** Orders that nobody was told of. */
const UNSEEN: ReadonlySet<string> = new Set(["INTENT", "ABANDONED"]);
/** What a customer may be told instead of an order's id. */
const REFUSALS: ReadonlySet<string> = new Set(["CART_EMPTY"]);
const STAGES = ["CREATED", "APPROVED"];

export function audit(books: Books, journal: Known): Check[] {
  const facts = new Facts(books, journal);
  return [
    ordersAreFinal(facts),
    acknowledgedExist(facts),
    keysHaveOneAnswer(facts),
    ordersAreAskedFor(facts),
    statesAreTrue(facts),
    outcomesFit(facts),
    nothingIsHeld(facts),
    stockIsWhole(facts),
    soldIsPaid(facts),
    chargedOnce(facts, "our books", books.ours),
    chargedOnce(facts, "the provider's books", books.theirs),
    refundsAgree(facts),
    refundsAreKept(facts),
    linesAreAccounted(facts),
  ];
}

/** The books and the journal, by what they are looked up by. */
class Facts {
  readonly books: Books;
  readonly journal: Known;
  readonly orders: ReadonlyMap<number, OrderRow>;
  readonly paid: readonly OrderRow[];
  readonly answered: readonly (readonly [number, Purchase])[];
  readonly #traces: ReadonlyMap<number, string>;

  constructor(books: Books, journal: Known) {
    this.books = books;
    this.journal = journal;
    this.orders = new Map(books.orders.map((order) => [order.id, order]));
    this.paid = books.orders.filter(({ state }) => state === "PAID");
    this.answered = journal.purchases.flatMap((purchase) =>
      [...new Set(purchase.orderIds)].map((id) => [id, purchase] as const),
    );
    this.#traces = new Map(books.orders.map(({ id, traceId }) => [id, traceId]));
  }

  /** Names an order, with what finds it in the logs. */
  name(orderId: number): string {
    const trace = this.#traces.get(orderId);
    return `order ${orderId}${trace ? ` (trace ${trace})` : ""}`;
  }
}

function ordersAreFinal(facts: Facts): Check {
  const { orders, unknownPayments } = facts.books;
  const open = orders
    .filter(({ isOpen, state }) => isOpen || !(isFinal(state) || state === "ABANDONED"))
    .map(({ id, state }) => `${facts.name(id)} is ${state} and not at rest`);
  const aside = orders
    .filter(({ setAside }) => setAside !== "")
    .map(({ id, setAside }) => `${facts.name(id)} was set aside: ${setAside}`);
  const unknown = unknownPayments.map((id) => `the payment of ${facts.name(id)} is still CHARGING`);
  const what = "every order is at its end, and so is its payment";
  return { what, compared: orders.length, differences: [...open, ...aside, ...unknown] };
}

function acknowledgedExist(facts: Facts): Check {
  const differences = facts.answered.flatMap(([id, { userId, key }]) => {
    const order = facts.orders.get(id);
    if (order === undefined)
      return [`order ${id} was acknowledged for key ${key} and is not there`];
    if (UNSEEN.has(order.state))
      return [`${facts.name(id)} was acknowledged and is ${order.state}`];
    if (order.userId === userId) return [];
    return [`${facts.name(id)} is user ${order.userId}'s, and was acknowledged to user ${userId}`];
  });
  return { what: "every acknowledged order exists", compared: facts.answered.length, differences };
}

function keysHaveOneAnswer({ journal, answered }: Facts): Check {
  const differences: string[] = [];
  for (const { key, orderIds, refusals } of journal.purchases) {
    const answers = [...new Set([...orderIds.map((id) => `order ${id}`), ...refusals])];
    if (answers.length > 1) differences.push(`key ${key} was answered with ${answers.join(", ")}`);
    for (const reason of new Set(refusals)) {
      if (!REFUSALS.has(reason)) differences.push(`key ${key} was refused with ${reason}`);
    }
  }
  for (const [id, purchases] of Map.groupBy(answered, ([orderId]) => orderId)) {
    if (purchases.length < 2) continue;
    const keys = purchases.map(([, { key }]) => key).join(" and ");
    differences.push(`order ${id} was answered for the keys ${keys}`);
  }
  const what = "a key has one answer, and an order one key";
  return { what, compared: journal.purchases.length, differences };
}

function ordersAreAskedFor(facts: Facts): Check {
  const { books, journal } = facts;
  const seen = books.orders.filter(({ state }) => !UNSEEN.has(state));
  const keys = Map.groupBy(books.keys, ({ orderId }) => orderId ?? 0);
  const purchases = new Map(journal.purchases.map((purchase) => [purchase.key, purchase]));
  const differences = seen.flatMap((order) => {
    const name = facts.name(order.id);
    const [entry, ...more] = keys.get(order.id) ?? [];
    if (entry === undefined) return [`${name} belongs to no key`];
    if (more.length > 0) return [`${name} belongs to ${more.length + 1} keys`];
    const purchase = purchases.get(entry.key);
    if (purchase === undefined || purchase.userId !== order.userId) {
      return [`${name} belongs to key ${entry.key}, which its user never sent`];
    }
    const { orderIds, refusals } = purchase;
    if (refusals.length > 0) return [`${name} exists, its key was refused with ${refusals[0]}`];
    if (orderIds.length === 0 || orderIds.includes(order.id)) return [];
    return [`${name} and order ${orderIds[0]} were both made for key ${entry.key}`];
  });
  return { what: "every order was asked for, once", compared: seen.length, differences };
}

function statesAreTrue(facts: Facts): Check {
  const differences = facts.answered.flatMap(([id, { states }]) => {
    const now = facts.orders.get(id)?.state ?? "not there";
    const end = states.findIndex(isFinal);
    const stages = states.map((state) => (isFinal(state) ? STAGES.length : STAGES.indexOf(state)));
    const name = facts.name(id);
    const shown = `${name} was shown as ${states.join(", ")}`;
    if (stages.some((stage, at) => stage < (stages[at - 1] ?? 0))) return [`${shown}: backwards`];
    if (end >= 0 && states[end] !== now) return [`${shown}, and is ${now}`];
    return [];
  });
  const what = "states that were shown only went forward, and the last is true";
  return { what, compared: facts.answered.length, differences };
}

// A good card is refused only for want of stock, a declined one is never charged.
function outcomesFit(facts: Facts): Check {
  const differences = facts.answered.flatMap(([id, { paymentMethod, cancel }]) => {
    const { state, reason } = facts.orders.get(id) ?? { state: "", reason: "" };
    const end = `${facts.name(id)} by ${paymentMethod} ended as ${state} ${reason}`.trim();
    const isDeclined = paymentMethod === "declined";
    if (state === "PAID" && isDeclined) return [end];
    if (state !== "PAYMENT_FAILED") return [];
    const isCancelled = reason === "CANCELLED";
    if (isCancelled && (cancel === "no" || cancel === "refused")) return [`${end}, by nobody`];
    return isCancelled || (isDeclined && reason === "CARD_DECLINED") ? [] : [end];
  });
  const what = "orders ended as their cards and customers would have it";
  return { what, compared: facts.answered.length, differences };
}

function nothingIsHeld(facts: Facts): Check {
  const { stock, reservations, carts } = facts.books;
  const held = stock
    .filter((row) => row.held !== 0)
    .map(({ productId, held: units }) => `${units} of product ${productId} are held`);
  const reserved = reservations
    .filter(({ state }) => state === "HELD")
    .map(({ orderId }) => `the reservation of ${facts.name(orderId)} is HELD`);
  const aside = carts.flatMap(({ userId, checkouts }) =>
    Object.keys(checkouts).map(
      (id) => `the checkout of ${facts.name(Number(id))} is aside in the cart of user ${userId}`,
    ),
  );
  const compared = stock.length + reservations.length + carts.length;
  return {
    what: "nothing is held or aside",
    compared,
    differences: [...held, ...reserved, ...aside],
  };
}

function stockIsWhole({ books, journal }: Facts): Check {
  const rows = new Map(books.stock.map((row) => [row.productId, row]));
  const differences = journal.products.flatMap(({ id, units }) => {
    const { available = 0, held = 0, sold = 0 } = rows.get(id) ?? {};
    if (available + held + sold === units) return [];
    return [`product ${id} began with ${units} and has ${available} + ${held} + ${sold}`];
  });
  const what = "start stock = available + held + sold";
  return { what, compared: journal.products.length, differences };
}

function soldIsPaid({ books, paid }: Facts): Check {
  const wanted = new Map<number, number>();
  for (const { productId, quantity } of paid.flatMap(({ lines }) => lines)) {
    wanted.set(productId, (wanted.get(productId) ?? 0) + quantity);
  }
  const differences = books.stock
    .filter(({ productId, sold }) => sold !== (wanted.get(productId) ?? 0))
    .map(
      ({ productId, sold }) =>
        `product ${productId}: ${sold} sold, ${wanted.get(productId) ?? 0} in PAID orders`,
    );
  return { what: "sold = units in PAID orders", compared: books.stock.length, differences };
}

function chargedOnce(facts: Facts, whose: string, movements: readonly Movement[]): Check {
  const charges = Map.groupBy(
    movements.filter(({ kind }) => kind === "charge"),
    ({ orderId }) => orderId,
  );
  const differences = facts.paid.flatMap(({ id, totalMinor }) => {
    const [charge, ...more] = charges.get(id) ?? [];
    if (charge === undefined) return [`${facts.name(id)} is PAID and was not charged`];
    if (more.length > 0) return [`${facts.name(id)} was charged ${more.length + 1} times`];
    if (charge.amountMinor === totalMinor) return [];
    return [`${facts.name(id)} costs ${totalMinor} and was charged ${charge.amountMinor}`];
  });
  for (const [id, [charge]] of charges) {
    const state = facts.orders.get(id)?.state ?? "not there";
    if (state === "PAID") continue;
    differences.push(`${facts.name(id)} is ${state} and was charged (${charge?.key})`);
  }
  const what = `${whose}: every PAID order was charged its total, once, and no other`;
  return { what, compared: charges.size, differences };
}

function refundsAgree(facts: Facts): Check {
  const { ours, theirs } = facts.books;
  const sums = [ours, theirs].map((movements) => {
    const sum = new Map<number, number>();
    for (const { kind, orderId, amountMinor } of movements) {
      if (kind === "refund") sum.set(orderId, (sum.get(orderId) ?? 0) + amountMinor);
    }
    return sum;
  });
  const refunded = facts.books.orders.filter(({ refundedMinor }) => refundedMinor !== 0);
  const ids = new Set([...sums.flatMap((sum) => [...sum.keys()]), ...refunded.map(({ id }) => id)]);
  const differences = [...ids].flatMap((id) => {
    const [our = 0, their = 0] = sums.map((sum) => sum.get(id) ?? 0);
    const { refundedMinor = 0, totalMinor = 0, state = "not there" } = facts.orders.get(id) ?? {};
    const refunds = `${facts.name(id)}: ${refundedMinor} refunded by the order, ${our} by us, ${their} by the provider`;
    if (our !== their || our !== refundedMinor) return [refunds];
    return state !== "PAID" || our > totalMinor ? [`${refunds}, of ${totalMinor} ${state}`] : [];
  });
  const what = "refunded = refunds in our books = the provider's";
  return { what, compared: ids.size, differences };
}

/** Every refund that was acknowledged has happened once, and none that nobody asked for. */
function refundsAreKept(facts: Facts): Check {
  const asked = facts.answered.filter(([, { refunds }]) => refunds.length > 0);
  const isRefused = new Map(
    asked.map(([id, { paymentMethod }]) => [id, paymentMethod === "refund-refused"]),
  );
  const kept = Map.groupBy(
    facts.books.ours.filter(({ kind }) => kind === "refund"),
    ({ orderId }) => orderId,
  );
  const differences = asked.flatMap(([id, { refunds }]) =>
    refunds.flatMap(({ key, isAcknowledged }) => {
      const times = (kept.get(id) ?? []).filter((movement) => movement.key === key).length;
      if (times > 1) return [`${facts.name(id)}: refund ${key} was made ${times} times`];
      if (times === 1 || !isAcknowledged || isRefused.get(id)) return [];
      return [`${facts.name(id)}: refund ${key} was acknowledged and not made`];
    }),
  );
  const wishes = new Set(asked.flatMap(([, { refunds }]) => refunds.map(({ key }) => key)));
  for (const [id, movements] of kept) {
    const strange = movements.filter(({ key }) => !wishes.has(key));
    differences.push(
      ...strange.map(({ key }) => `${facts.name(id)}: nobody asked for refund ${key}`),
    );
  }
  return { what: "every refund was asked for, once", compared: wishes.size, differences };
}

function linesAreAccounted({ books, journal, paid }: Facts): Check {
  const found = new Map<string, number>();
  const count = (userId: number, productId: number | string, quantity: number) => {
    const place = `${userId} ${productId}`;
    found.set(place, (found.get(place) ?? 0) + quantity);
  };
  for (const { userId, lines, checkouts } of books.carts) {
    for (const aside of [lines, ...Object.values(checkouts)]) {
      for (const [id, quantity] of Object.entries(aside)) count(userId, id, quantity);
    }
  }
  for (const { userId, lines } of paid) {
    for (const { productId, quantity } of lines) count(userId, productId, quantity);
  }
  const differences: string[] = [];
  let compared = 0;
  for (const { userId, put } of journal.shoppers) {
    for (const [productId, { low, high }] of put) {
      compared += 1;
      const place = `${userId} ${productId}`;
      const units = found.get(place) ?? 0;
      found.delete(place);
      if (units >= low && units <= high) continue;
      const wanted = low === high ? low : `${low} to ${high}`;
      const orders = books.orders.filter((order) => order.userId === userId);
      differences.push(
        `user ${userId} put ${wanted} of product ${productId} into the cart, and ${units} are in the ` +
          `cart and PAID orders (orders ${orders.map(({ id, state }) => `${id} ${state}`).join(", ")})`,
      );
    }
  }
  for (const [place, units] of found) {
    if (units === 0) continue;
    const [userId, productId] = place.split(" ");
    differences.push(`user ${userId} has ${units} of product ${productId} and never asked for it`);
  }
  return { what: "what was put into carts is in carts or PAID orders", compared, differences };
}
