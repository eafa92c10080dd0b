/** Who gets the units: a pure decision over locked stock, order by order. */
import type { ReservationLine, ReservedLine, Shortage } from "@piata/contracts/catalog";
import { invalidArgument } from "@piata/kit/errors";
import { checkedId } from "@piata/kit/validate";

const LINES_MAX = 100;
// The dearest order there can be costs less than 2^53: a total that no one can read exactly would
// fail every order of its batch.
const QUANTITY_MAX = 40_000;

/** What an order asks for. */
export interface Wanted {
  orderId: number;
  lines: ReservationLine[];
  expectedTotalMinor?: number | undefined;
}

/** One product's stock and price, as locked. */
export interface Stock {
  productId: number;
  available: number;
  priceMinor: number;
}

/** The one row that is kept per order. */
export interface ReservationRow {
  orderId: number;
  /** HELD -> SOLD | RELEASED; a refused order is RELEASED from the start. */
  state: "HELD" | "SOLD" | "RELEASED";
  lines: ReservedLine[];
  totalMinor: number;
  refusalReason: "" | "OUT_OF_STOCK" | "PRODUCT_NOT_FOUND" | "PRICE_CHANGED";
  shortages: Shortage[];
}

/** Throws INVALID_ARGUMENT / ID_INVALID, LINES_INVALID. */
export function checkedWanted(wanted: Wanted): Wanted {
  checkedId(wanted.orderId, "order_id");
  const { lines } = wanted;
  const products = new Set(lines.map(({ productId }) => checkedId(productId, "product_id")));
  const countable = lines.every(
    ({ quantity }) => Number.isInteger(quantity) && quantity > 0 && quantity <= QUANTITY_MAX,
  );
  if (lines.length < 1 || lines.length > LINES_MAX || products.size < lines.length || !countable) {
    throw invalidArgument(
      "LINES_INVALID",
      `An order has 1 to ${LINES_MAX} lines, each product once and at most ${QUANTITY_MAX} of it.`,
      { field: "lines" },
    );
  }
  return wanted;
}

/**
 * Decides orders in the order given, each wholly or not at all: what one takes is gone for the
 * next, and what one is refused is still there for the next.
 */
export function decide(orders: Wanted[], stock: Stock[]): ReservationRow[] {
  const left = new Map(stock.map((row) => [row.productId, { ...row }]));
  return orders.map((order) => {
    const verdict = decideOne(order, left);
    if (verdict.state === "HELD") {
      for (const { productId, quantity } of order.lines) {
        (left.get(productId) as Stock).available -= quantity;
      }
    }
    return verdict;
  });
}

function decideOne(order: Wanted, left: ReadonlyMap<number, Stock>): ReservationRow {
  const { orderId, lines, expectedTotalMinor } = order;
  const shortages = lines.flatMap(({ productId, quantity }) => {
    const unitsAvailable = left.get(productId)?.available ?? 0;
    return unitsAvailable < quantity ? [{ productId, quantity, unitsAvailable }] : [];
  });
  if (shortages.length > 0) {
    const unknown = shortages.some(({ productId }) => !left.has(productId));
    return refused(orderId, unknown ? "PRODUCT_NOT_FOUND" : "OUT_OF_STOCK", shortages);
  }
  const reserved = lines.map(({ productId, quantity }) => ({
    productId,
    quantity,
    unitPriceMinor: (left.get(productId) as Stock).priceMinor,
  }));
  const totalMinor = reserved.reduce((sum, line) => sum + line.quantity * line.unitPriceMinor, 0);
  if (expectedTotalMinor !== undefined && expectedTotalMinor !== totalMinor) {
    return refused(orderId, "PRICE_CHANGED", []);
  }
  return { orderId, state: "HELD", lines: reserved, totalMinor, refusalReason: "", shortages: [] };
}

const refused = (
  orderId: number,
  refusalReason: ReservationRow["refusalReason"],
  shortages: Shortage[],
): ReservationRow => ({
  orderId,
  state: "RELEASED",
  lines: [],
  totalMinor: 0,
  refusalReason,
  shortages,
});
