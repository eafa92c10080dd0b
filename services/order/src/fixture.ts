/** What the tests share: databases of their own, and the real programs of a purchase on them. */
import { CartServiceService, CheckoutState, type Line } from "@piata/contracts/cart";
import { CatalogServiceService, ReservationState } from "@piata/contracts/catalog";
import {
  type BatchPlaceOrdersRequest_Item,
  type Order,
  OrderServiceService,
  OrderState,
} from "@piata/contracts/order";
import { PaymentServiceService, PaymentState } from "@piata/contracts/payment";
import type { Status } from "@piata/contracts/rpc/status";
import { Secret } from "@piata/kit/config";
import { ownContext } from "@piata/kit/context";
import { fromStatus } from "@piata/kit/errors";
import { migrate } from "@piata/kit/migrate";
import { Database, statement } from "@piata/kit/pg";
import { openClient } from "@piata/kit/trial";
import {
  createTestDatabase,
  openServiceDatabase,
  type TestDatabase,
} from "@piata/testkit/database";
import { as } from "@piata/testkit/identity";
import { type RunningService, startService } from "@piata/testkit/service";
import { until } from "@piata/testkit/until";

const MIGRATIONS = new URL("../migrations/", import.meta.url);
const DEADLINE_MS = 20_000;
const SLOW_MS = "700";

const ORDER_ROW = statement(
  "test_order",
  `select state, next_try_at is not null as open from orders where id = $1`,
);
const PLACE_OLD_INTENT = statement(
  "test_place_old_intent",
  `insert into orders (user_id, state, payment_method, trace_id, next_try_at)
   values ($1, 'INTENT', '', repeat('0', 32), now() + $2::integer * interval '1 millisecond')
   returning id`,
);
const UNITS = statement(
  "test_units",
  `select available, held, sold from stock where product_id = $1`,
);
const LEDGER = statement(
  "test_ledger",
  `select state, amount_minor::integer as "amountMinor" from sandbox.ledger where key = $1`,
);

export const options = () => ownContext(DEADLINE_MS);

export const reasonOf = ({ failure }: { failure?: Status | undefined }): string => {
  if (!failure) return "";
  const { code, reason } = fromStatus(failure);
  return `${code} / ${reason}`;
};

export type OrderDatabase = Awaited<ReturnType<typeof openDatabase>>;

export async function openDatabase() {
  const database = await openServiceDatabase({
    template: "order",
    migrations: MIGRATIONS,
    prepare: (url) => migrate(new Secret(url), MIGRATIONS),
    open: (url) => new Database(new Secret(url), { program: "order-test" }),
  });
  const { db } = database;
  return {
    ...database,
    /** The row of an order as it stands. */
    row: async (orderId: number) =>
      (await db.rows<{ state: string; open: boolean }>(ORDER_ROW, [orderId]))[0],
    /** The intent of an instance that died `dueMs` from now. */
    placeIntent: async (userId: number, dueMs: number) =>
      (await db.rows<{ id: number }>(PLACE_OLD_INTENT, [userId, dueMs]))[0]?.id as number,
  };
}

/** An order for one unit of a product at 19.99. */
export interface Purchase {
  userId: number;
  productId: number;
  orderId: number;
  paymentMethod?: string;
}

type Name = "cart" | "catalog" | "payment" | "order";
type Programs = Map<Name, { env: Record<string, string>; service: RunningService }>;

export type Shop = Awaited<ReturnType<typeof startShop>>;

/** Cart, catalog, payment and order, each a process on a database of its own. */
export async function startShop(
  orderEnv: Record<string, string> = {},
  paymentEnv: Record<string, string> = {},
) {
  const databases: TestDatabase[] = [];
  const newDatabase = async (service: string) => {
    const database = await createTestDatabase({ template: `order_neighbour_${service}` });
    databases.push(database);
    return database.url;
  };
  const [cartUrl, catalogUrl, paymentUrl, orders] = await Promise.all([
    newDatabase("cart"),
    newDatabase("catalog"),
    newDatabase("payment"),
    openDatabase(),
  ]);
  const programs: Programs = new Map();
  const start = async (name: Name, env: Record<string, string>) => {
    programs.set(name, { env, service: await startService(name, env) });
  };
  const addressOf = (name: Name) => programs.get(name)?.service.address as string;
  await Promise.all([
    start("cart", { CART_DATABASE_URL: cartUrl }),
    start("catalog", { CATALOG_DATABASE_URL: catalogUrl }),
    start("payment", {
      PAYMENT_DATABASE_URL: paymentUrl,
      PAYMENT_PROVIDER: "sandbox",
      PAYMENT_SANDBOX_SLOW_MS: SLOW_MS,
      ...paymentEnv,
    }),
  ]);
  await start("order", {
    ORDER_DATABASE_URL: orders.url,
    CART_TARGET: addressOf("cart"),
    CATALOG_TARGET: addressOf("catalog"),
    PAYMENT_TARGET: addressOf("payment"),
    ORDER_LEASE_MS: "1000",
    ...orderEnv,
  });
  const [catalogDb, paymentDb] = [catalogUrl, paymentUrl].map(
    (url) => new Database(new Secret(url), { program: "order-test" }),
  ) as [Database, Database];
  const { close, ...calls } = callsOf(addressOf);
  return {
    ...calls,
    orders,
    units: async (productId: number) => (await catalogDb.rows(UNITS, [productId]))[0],
    ledger: (orderId: number) =>
      paymentDb.rows<{ state: string; amountMinor: number }>(LEDGER, [`order-${orderId}`]),
    /** Until the order's last obligation has answered. */
    over: (orderId: number) =>
      until(async () => (await orders.row(orderId))?.open === false, { what: "the order's end" }),
    /** Kills a program as a crash of the machine would. */
    async kill(name: Name) {
      const { service } = programs.get(name) as { service: RunningService };
      service.kill();
      await service.stop();
    },
    /** Ends a program as the launcher would. Resolves to its exit code. */
    end: (name: Name) => programs.get(name)?.service.stop(),
    /** Stops a program where it is, and lets it go on. */
    pause: (name: Name) => programs.get(name)?.service.kill("SIGSTOP"),
    resume: (name: Name) => programs.get(name)?.service.kill("SIGCONT"),
    /** Another instance of the order service. */
    startAnother: () => startService("order", { ...programs.get("order")?.env, ORDER_PORT: "0" }),
    /** Starts a program again where it was. */
    restart: async (name: Name) => {
      const port = addressOf(name).split(":")[1] as string;
      const { env } = programs.get(name) as { env: Record<string, string> };
      await start(name, { ...env, [`${name.toUpperCase()}_PORT`]: port });
      // The others' channels find out by themselves; the test's own is to be ready.
      await until(() => calls.isServing(name), { what: `${name} to serve` });
    },
    async stop() {
      close();
      const codes = await Promise.all([...programs.values()].map(({ service }) => service.stop()));
      await Promise.all([catalogDb.close(), paymentDb.close()]);
      await Promise.all([orders.drop(), ...databases.map((database) => database.drop())]);
      return codes;
    },
  };
}

function clientsOf(addressOf: (name: Name) => string) {
  const to = (service: Name) => ({ service, target: addressOf(service) });
  const clients = {
    cart: openClient(to("cart"), CartServiceService, {
      batchTake: "order",
      batchRestore: "order",
      batchForget: "order",
      batchErase: "access",
    }),
    catalog: openClient(to("catalog"), CatalogServiceService, {
      batchReserve: "order",
      batchSell: "order",
      batchRelease: "order",
    }),
    payment: openClient(to("payment"), PaymentServiceService, {
      batchCharge: "order",
      batchVoid: "order",
      reconcile: "operator",
    }),
    order: openClient(to("order"), OrderServiceService),
  };
  const close = () => {
    for (const client of Object.values(clients)) client.close();
  };
  return { ...clients, close };
}

function callsOf(addressOf: (name: Name) => string) {
  const clients = clientsOf(addressOf);
  const [cart, catalog] = [clients.cart.rpc, clients.catalog.rpc];
  const [payment, order] = [clients.payment.rpc, clients.order.rpc];
  const place = async (userId: number, wish: Partial<BatchPlaceOrdersRequest_Item> = {}) => {
    const item = { ...as(userId), paymentMethod: "", idempotencyKey: "", ...wish };
    const { results } = await order.batchPlaceOrders({ items: [item] }, options());
    const [{ orderId, failure } = { orderId: 0 }] = results;
    if (failure) throw fromStatus(failure);
    return orderId;
  };
  const get = async (userId: number, orderId: number): Promise<Order> => {
    const items = [{ ...as(userId), orderId }];
    const [result] = (await order.batchGetOrders({ items }, options())).results;
    if (result?.failure) throw fromStatus(result.failure);
    return result?.order as Order;
  };
  return {
    close: clients.close,
    cart,
    catalog,
    payment,
    order,
    /** The id of the order. Throws the item's Failure. */
    place,
    get,
    /** The order, as soon as it shows how it ended. */
    ended: (userId: number, orderId: number) =>
      until(async () => {
        const found = await get(userId, orderId);
        return found.state >= OrderState.PAID && found;
      }),
    offer: async (unitsAvailable: number, price = 19.99) => {
      const request = { ...as(1), name: "Lamp", price, imageUrl: "", unitsAvailable };
      const { product } = await catalog.createProduct({ ...request, categoryIds: [] }, options());
      return product?.id as number;
    },
    fill: async (userId: number, ...lines: [productId: number, quantity: number][]) => {
      const items = lines.map(([productId, quantity]) => ({
        ...as(userId),
        add: { productId, quantity },
      }));
      const { results } = await cart.batchChangeCarts({ items }, options());
      if (results.some(({ failure }) => failure)) throw new Error("The cart was not filled.");
    },
    cartOf: async (userId: number): Promise<Line[]> =>
      (await cart.batchGetCarts({ items: [as(userId)] }, options())).results[0]?.cart?.lines ?? [],
    isServing: async (name: Name) => {
      const calls = { cart, catalog, payment, order };
      await Promise.all([
        name === "cart" && calls.cart.batchGetCarts({ items: [] }, options()),
        name === "catalog" && calls.catalog.batchGetProducts({ items: [] }, options()),
        name === "payment" && calls.payment.batchVoid({ items: [] }, options()),
        name === "order" && calls.order.batchGetOrders({ items: [] }, options()),
      ]);
      return true;
    },
    /**
     * Everything that a participant may be asked, late and again; answers where each one stands.
     */
    late: async ({ userId, orderId, productId, paymentMethod = "" }: Purchase) => {
      const items = [{ ...as(userId), orderId }];
      const reserve = { ...as(userId), orderId, lines: [{ productId, quantity: 1 }] };
      const amount = { amountMinor: 1_999, currencyCode: "EUR" };
      await catalog.batchRelease({ items }, options());
      await catalog.batchSell({ items }, options());
      const reserved = await catalog.batchReserve({ items: [reserve] }, options());
      await payment.batchVoid({ items }, options());
      const charge = { ...as(userId), orderId, amount, paymentMethod };
      const charged = await payment.batchCharge({ items: [charge] }, options());
      await cart.batchForget({ items }, options());
      await cart.batchRestore({ items }, options());
      const take = { ...as(userId), orderId, peek: false };
      const taken = await cart.batchTake({ items: [take] }, options());
      return {
        reservation: ReservationState[reserved.results[0]?.reservation?.state ?? 0],
        payment: PaymentState[charged.results[0]?.payment?.state ?? 0],
        checkout: CheckoutState[taken.results[0]?.state ?? 0],
      };
    },
  };
}
