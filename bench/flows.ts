// What is asked of the shop: the kinds of work that the load can do.

import { postOf } from "@piata/testkit/load-generator";
import { Random, seeded } from "@piata/testkit/random";
import type { Ask, Flow, Next } from "./lane.ts";
import { zipf } from "./zipf.ts";

export interface Customer {
  readonly email: string;
  readonly password: string;
  /** An access token. */
  readonly token: string;
}

/** What there is in a shop that is measured. */
export interface World {
  readonly url: string;
  readonly productIds: readonly number[];
  readonly categoryIds: readonly number[];
  readonly customers: readonly Customer[];
}

export const FLOWS = [
  "product",
  "products",
  "categories",
  "cart",
  "add",
  "login",
  "purchase",
  "purchase-hot",
  "mixed",
  "bare",
] as const;
export type FlowName = (typeof FLOWS)[number];

const PRODUCT = `query ($id: Float!) {
  product(id: $id) { id name price unitsAvailable imageUrl categories { id name } }
}`;
const PRODUCTS = `query ($categoryId: Int) {
  products(first: 20, categoryId: $categoryId) { items { id name price } nextCursor }
}`;
const CATEGORIES = "{ categories { id name } }";
const CART =
  "{ cart { items { productId name quantity imageUrl exactPrice { amountMinor currency } } } }";
const ADD = "mutation ($input: CartItemInput!) { addToCart(input: $input) }";
const CLEAR = "mutation { clearCart }";
const LOGIN = "mutation ($input: AuthLoginInput!) { login(input: $input) }";
const ORDER = "mutation { initOrder { orderId } }";
const STATUS = "query ($orderId: Float!) { orderStatus(orderId: $orderId) { value } }";

/** Products that a cart holds while it is read. */
const CART_LINES = 3;
/** Products that the carts are filled with, in turn: as many as a cart of a real shop has. */
const ADD_LINES = 5;
/** Adds until a cart is emptied: it holds up to 999 of a product. */
const ADDS_MAX = ADD_LINES * 900;
/** A buyer asks right away, then after this pause, then each time half as long again. */
const POLL_MS = 10;
const POLL_GROWTH = 1.5;
/** Requests of a kind that are made beforehand. */
const MADE_MAX = 4_096;

/** Of one connection: which it is of how many, and whose. */
export interface Place {
  readonly lane: number;
  readonly lanes: number;
  readonly seed: number;
}

type Maker = (world: World, place: Place) => Flow;

export function flowOf(name: FlowName, world: World, place: Place): Flow {
  return MAKERS[name](world, place);
}

const MAKERS: Readonly<Record<FlowName, Maker>> = {
  product: (world, { lane, seed }) =>
    repeating(productAsks(world), zipf(world.productIds.length, seeded(seed + lane))),
  products: (world, { lane }) => cycling(productsAsks(world), lane),
  categories: (world) => cycling([ask(world, CATEGORIES, {}, '{"data":{"categories":[{"id":')], 0),
  cart: (world, place) => {
    const token = customerOf(world, place).token;
    const ids = someIds(world, place.lane, CART_LINES);
    return {
      ...cycling([ask(world, CART, {}, '{"data":{"cart":{"items":[{"productId":', token)], 0),
      preparation: [clearAsk(world, token), ...ids.map((id) => addAsk(world, id, token))],
    };
  },
  add: addFlow,
  login: (world, { lane, lanes }) => {
    // No account at two connections at once, while there are enough: its logins come in turn.
    const { customers } = world;
    const mine = customers.filter((_, index) => index % lanes === lane % customers.length);
    return cycling(
      (mine.length > 0 ? mine : customers).map((one) => loginAsk(world, one)),
      0,
    );
  },
  purchase: (world, place) => {
    const random = new Random(place.seed * 1_000 + place.lane);
    return purchaseFlow(world, place, random.shuffled(world.productIds));
  },
  "purchase-hot": (world, place) => purchaseFlow(world, place, world.productIds.slice(0, 1)),
  mixed: mixedFlow,
  bare: (world) => cycling([ask(world, PRODUCT, { id: 1 }, '{"data":{"product":{"id":')], 0),
};

function ask(
  { url }: World,
  query: string,
  variables: Record<string, unknown>,
  begins: string,
  token?: string,
): Ask {
  const bytes = postOf(new URL(url), JSON.stringify({ query, variables }), token);
  return { bytes, begins: Buffer.from(begins) };
}

const cycling = (asks: readonly Ask[], from: number): Flow => {
  let at = from;
  return {
    preparation: [],
    first: () => {
      at += 1;
      return asks[at % asks.length] as Ask;
    },
  };
};

const repeating = (asks: readonly Ask[], pick: () => number): Flow => ({
  preparation: [],
  first: () => asks[pick()] as Ask,
});

const customerOf = ({ customers }: World, { lane }: Place): Customer =>
  customers[lane % customers.length] as Customer;

const someIds = ({ productIds }: World, lane: number, count: number): number[] =>
  Array.from(
    { length: count },
    (_, index) => productIds[(lane * count + index) % productIds.length] as number,
  );

// All connections send the same bytes.
const made = new WeakMap<World, Ask[]>();

function productAsks(world: World): Ask[] {
  const known = made.get(world);
  if (known !== undefined) return known;
  const asks = world.productIds.map((id) =>
    ask(world, PRODUCT, { id }, `{"data":{"product":{"id":${id},`),
  );
  made.set(world, asks);
  return asks;
}

const productsAsks = (world: World): Ask[] =>
  [null, ...world.categoryIds].map((categoryId) =>
    ask(world, PRODUCTS, { categoryId }, '{"data":{"products":{"items":[{"id":'),
  );

const addAsk = (world: World, productId: number, token: string): Ask =>
  ask(world, ADD, { input: { productId, quantity: 1 } }, '{"data":{"addToCart":"', token);

const clearAsk = (world: World, token: string): Ask =>
  ask(world, CLEAR, {}, '{"data":{"clearCart":"', token);

const loginAsk = (world: World, { email, password }: Customer): Ask =>
  ask(world, LOGIN, { input: { email, password } }, '{"data":{"login":"');

function addFlow(world: World, place: Place): Flow {
  const { token } = customerOf(world, place);
  const asks = someIds(world, place.lane, ADD_LINES).map((id) => addAsk(world, id, token));
  const clear = clearAsk(world, token);
  let added = 0;
  return {
    preparation: [clear],
    first: () => {
      added += 1;
      // One in thousands, and a change of the cart as well.
      if (added % ADDS_MAX === 0) return clear;
      return asks[added % ADD_LINES] as Ask;
    },
  };
}

/** Puts one product into the cart, orders, and asks for the order until it is PAID. */
function purchaseFlow(world: World, place: Place, productIds: readonly number[]): Flow {
  const { token } = customerOf(world, place);
  const adds = productIds.slice(0, MADE_MAX).map((id) => addAsk(world, id, token));
  const order = ask(world, ORDER, {}, '{"data":{"initOrder":{"orderId":', token);
  let bought = 0;
  let status: Ask | undefined;
  let step: "added" | "ordered" | "asked" = "added";
  let pauseMs = POLL_MS;
  const next = (body: Buffer): Next | undefined => {
    if (step === "added") {
      step = "ordered";
      return { ask: order, pauseMs: 0 };
    }
    if (step === "ordered") {
      const { data } = JSON.parse(body.toString()) as {
        data: { initOrder: { orderId: number } };
      };
      const { orderId } = data.initOrder;
      status = ask(world, STATUS, { orderId }, '{"data":{"orderStatus":{"value":"', token);
      step = "asked";
      pauseMs = POLL_MS;
      return { ask: status, pauseMs: 0 };
    }
    if (body.includes('"PAID"')) return undefined;
    if (!/"(CREATED|APPROVED)"/.test(body.toString())) throw new Error(body.toString());
    const pause = pauseMs;
    pauseMs *= POLL_GROWTH;
    return { ask: status as Ask, pauseMs: pause };
  };
  return {
    preparation: [clearAsk(world, token)],
    first: () => {
      bought += 1;
      step = "added";
      return adds[bought % adds.length] as Ask;
    },
    next,
  };
}

/** Of ten units: six looks at a product, a page, the categories, the cart, and a purchase. */
function mixedFlow(world: World, place: Place): Flow {
  const buying = flowOf("purchase", world, place);
  const look = flowOf("product", world, place);
  const token = customerOf(world, place).token;
  const cart = cycling([ask(world, CART, {}, '{"data":{"cart":{', token)], 0);
  const others = [flowOf("products", world, place), flowOf("categories", world, place), cart];
  const turns = [buying, ...others, ...Array.from({ length: 6 }, () => look)];
  let at = place.lane;
  let now = look;
  return {
    // There is a cart to look at, too.
    preparation: [...buying.preparation, addAsk(world, world.productIds[0] as number, token)],
    first: () => {
      at += 1;
      now = turns[at % turns.length] as Flow;
      return now.first();
    },
    next: (body) => now.next?.(body),
  };
}
