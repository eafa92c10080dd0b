// What the databases say, read with each service's own role. Columns that a service may not have yet are
// read from the row as JSON.
import type { Shop } from "@piata/testkit/shop";
import pg from "pg";

export interface OrderRow {
  readonly id: number;
  readonly userId: number;
  readonly state: string;
  readonly reason: string;
  readonly lines: readonly { productId: number; quantity: number; unitPriceMinor?: number }[];
  readonly totalMinor: number;
  readonly refundedMinor: number;
  readonly setAside: string;
  readonly traceId: string;
  readonly isOpen: boolean;
}

export interface StockRow {
  readonly productId: number;
  readonly available: number;
  readonly held: number;
  readonly sold: number;
}

/** Money that was taken or given back, in one of the two books. */
export interface Movement {
  readonly orderId: number;
  readonly kind: "charge" | "refund";
  readonly amountMinor: number;
  /** Of the entry, in its book. */
  readonly key: string;
}

export interface Books {
  readonly orders: readonly OrderRow[];
  readonly keys: readonly { userId: number; key: string; orderId: number | null }[];
  readonly stock: readonly StockRow[];
  readonly reservations: readonly { orderId: number; state: string }[];
  readonly carts: readonly {
    userId: number;
    lines: Readonly<Record<string, number>>;
    checkouts: Readonly<Record<string, Readonly<Record<string, number>>>>;
  }[];
  /** What the payment service has written down. */
  readonly ours: readonly Movement[];
  /** What the provider has. */
  readonly theirs: readonly Movement[];
  /** Payments of ours whose outcome is not known. */
  readonly unknownPayments: readonly number[];
}

export type Query = <Row>(service: string, sql: string) => Promise<Row[]>;

const SERVICES = ["order", "catalog", "cart", "payment"] as const;

/** Reads with connections of its own. */
export async function readBooks(shop: Shop): Promise<Books> {
  const clients = new Map<string, pg.Client>();
  try {
    for (const service of SERVICES) {
      const client = new pg.Client({ connectionString: await shop.databaseUrl(service) });
      await client.connect();
      clients.set(service, client);
    }
    return await booksOf(async (service, sql) => {
      const client = clients.get(service) as pg.Client;
      return (await client.query(sql)).rows;
    });
  } finally {
    await Promise.all([...clients.values()].map((client) => client.end()));
  }
}

export async function booksOf(query: Query): Promise<Books> {
  const [orders, keys, stock, reservations, carts, unknownPayments] = await Promise.all([
    query<OrderRow>("order", ORDERS),
    query<Books["keys"][number]>("order", KEYS),
    query<StockRow>("catalog", STOCK),
    query<Books["reservations"][number]>("catalog", RESERVATIONS),
    query<Books["carts"][number]>("cart", CARTS),
    query<{ orderId: number }>("payment", UNKNOWN_PAYMENTS),
  ]);
  const [ours, theirs] = await Promise.all([
    movements(query, OUR_CHARGES, ["refunds", OUR_REFUNDS]),
    movements(query, THEIR_CHARGES, ["sandbox.refunds", THEIR_REFUNDS]),
  ]);
  const unknown = unknownPayments.map(({ orderId }) => orderId);
  return { orders, keys, stock, reservations, carts, ours, theirs, unknownPayments: unknown };
}

async function movements(
  query: Query,
  charges: string,
  [table, refunds]: [string, string],
): Promise<Movement[]> {
  const charged = await query<Movement>("payment", charges);
  const [found] = await query<{ isThere: boolean }>(
    "payment",
    `select to_regclass('${table}') is not null as "isThere"`,
  );
  return found?.isThere ? [...charged, ...(await query<Movement>("payment", refunds))] : charged;
}

const ORDERS = `
  select id, user_id as "userId", state, reason, lines, coalesce(total_minor, 0)::float8 as "totalMinor",
         coalesce((to_jsonb(orders) ->> 'refunded_minor')::float8, 0) as "refundedMinor",
         coalesce(to_jsonb(orders) ->> 'set_aside_reason', '') as "setAside",
         trace_id as "traceId", next_try_at is not null as "isOpen"
    from orders
   order by id`;

const KEYS = `select user_id as "userId", key, order_id as "orderId" from idempotency_keys`;

const STOCK = `select product_id as "productId", available, held, sold from stock`;

const RESERVATIONS = `select order_id as "orderId", state from reservations`;

const CARTS = `
  select user_id as "userId", coalesce(lines, '{}') as lines, checkouts from carts`;

const UNKNOWN_PAYMENTS = `select order_id as "orderId" from payments where state = 'CHARGING'`;

const OUR_CHARGES = `
  select order_id as "orderId", 'charge' as kind, amount_minor::float8 as "amountMinor",
         order_id::text as key
    from payments
   where state = 'CHARGED'`;

const OUR_REFUNDS = `
  select order_id as "orderId", 'refund' as kind, amount_minor::float8 as "amountMinor",
         refund_key as key
    from refunds
   where state = 'REFUNDED'`;

// A key of the provider's begins with the order's: order-17.
const THEIR_ORDER = `coalesce(substring(key from '^order-([0-9]+)')::integer, 0)`;

const THEIR_CHARGES = `
  select ${THEIR_ORDER} as "orderId", 'charge' as kind, amount_minor::float8 as "amountMinor", key
    from sandbox.ledger
   where state = 'CHARGED'`;

const THEIR_REFUNDS = `
  select ${THEIR_ORDER} as "orderId", 'refund' as kind, amount_minor::float8 as "amountMinor",
         refund_key as key
    from sandbox.refunds
   where state = 'REFUNDED'`;
