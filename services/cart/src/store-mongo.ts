/** Carts in MongoDB: one document per user, and one atomic update operator per change. */
import { ConfigError, type Secret } from "@piata/kit/config";
import { aborted, type Failure, isFailure, unavailable } from "@piata/kit/errors";
import {
  type Collection,
  MongoClient,
  MongoNetworkError,
  MongoServerError,
  MongoServerSelectionError,
  MongoWriteConcernError,
} from "mongodb";
import * as rules from "./cart.js";
import { type Cart, type Checkout, DONE, type Done, NO_CART, type Outcome } from "./cart.js";
import type { CartStore, OfOrder, OfUser, UserChange } from "./store.js";
import {
  type CartDocument,
  changing,
  ending,
  erasing,
  taking,
  type Update,
} from "./store-mongo-updates.js";

/** One kind of change: decided on a cart as read, written on the document as it is by then. */
interface Step<Item, Answer> {
  decide(cart: Cart, item: Item): Outcome<Answer>;
  /** Asked only when `decide` changes something. Matches only where `decide` would do the same. */
  update(item: Item, before: Cart, after: Cart): Update;
  /** What was done, by the document that was written. */
  answer(written: Cart, item: Item): Answer;
}

// Each miss means that another change of the same cart went through.
const TRIES_MAX = 100;
const DUPLICATE_KEY = 11_000;

/** Carts in MongoDB. */
export class MongoCartStore implements CartStore {
  readonly #client: MongoClient;
  readonly #carts: Collection<CartDocument>;

  private constructor(client: MongoClient, carts: Collection<CartDocument>) {
    this.#client = client;
    this.#carts = carts;
  }

  /** Throws ConfigError when the driver cannot read the URL, its own error when nobody answers. */
  static async open(url: Secret): Promise<MongoCartStore> {
    const client = newClient(url);
    // A client that is left to connect by itself never tries again when its first try fails; one
    // that is connected outlives every outage.
    await client.connect();
    const named = /^[^/]+\/\/[^/]+\/[^?]/.test(url.reveal());
    return new MongoCartStore(client, client.db(named ? undefined : "cart").collection("carts"));
  }

  async find(userIds: number[]): Promise<Map<number, Cart>> {
    try {
      const documents = await this.#carts.find({ _id: { $in: [...new Set(userIds)] } }).toArray();
      return new Map(documents.map((document) => [document._id, toCart(document)]));
    } catch (error) {
      throw translated(error);
    }
  }

  change(changes: UserChange[]): Promise<(Done | Failure)[]> {
    return this.#settle(changes, CHANGE);
  }

  take(orders: OfOrder[]): Promise<(Checkout | Failure)[]> {
    return this.#settle(orders, TAKE);
  }

  restore(orders: OfOrder[]): Promise<(Done | Failure)[]> {
    return this.#settle(orders, RESTORE);
  }

  forget(orders: OfOrder[]): Promise<(Done | Failure)[]> {
    return this.#settle(orders, FORGET);
  }

  erase(users: OfUser[]): Promise<(Done | Failure)[]> {
    return this.#settle(users, ERASE);
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  async #settle<Item extends OfUser, Answer>(
    items: Item[],
    step: Step<Item, Answer>,
  ): Promise<(Answer | Failure)[]> {
    const places = Map.groupBy(items.keys(), (place) => (items[place] as Item).userId);
    const carts = await this.find([...places.keys()]);
    const answers = new Array<Answer | Failure>(items.length);
    const users = [...places].map(async ([userId, theirs]) => {
      let cart = carts.get(userId) ?? NO_CART;
      try {
        for (const place of theirs) {
          const settled = await this.#settleOne(cart, items[place] as Item, step);
          cart = settled.cart;
          answers[place] = settled.answer;
        }
      } catch (error) {
        // Other users' changes may have been made: each item has its own answer.
        const failure = translated(error);
        if (!isFailure(failure)) throw failure;
        for (const place of theirs) answers[place] ??= failure;
      }
    });
    await Promise.all(users);
    return answers;
  }

  async #settleOne<Item extends OfUser, Answer>(
    read: Cart,
    item: Item,
    { decide, update, answer }: Step<Item, Answer>,
  ): Promise<Outcome<Answer>> {
    let cart = read;
    for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
      const outcome = decide(cart, item);
      if (outcome.cart === cart) return outcome;
      const written = await this.#write(item.userId, update(item, cart, outcome.cart));
      if (written) return { cart: written, answer: answer(written, item) };
      cart = (await this.find([item.userId])).get(item.userId) ?? NO_CART;
    }
    throw aborted("CART_BUSY", "The cart is changed by too many at once; try again.");
  }

  /** The cart as written; undefined when the document was not, or no more, as the filter says. */
  async #write(userId: number, { filter, change, upsert }: Update): Promise<Cart | undefined> {
    try {
      const written = await this.#carts.findOneAndUpdate({ ...filter, _id: userId }, change, {
        upsert,
        returnDocument: "after",
      });
      return written ? toCart(written) : undefined;
    } catch (error) {
      // An upsert that does not match what is there, or that raced another one.
      if (error instanceof MongoServerError && error.code === DUPLICATE_KEY) return undefined;
      throw error;
    }
  }
}

function newClient(url: Secret): MongoClient {
  try {
    return new MongoClient(url.reveal(), {
      appName: "cart",
      maxPoolSize: 32,
      serverSelectionTimeoutMS: 3_000,
      waitQueueTimeoutMS: 5_000,
      writeConcern: { w: "majority", journal: true },
      // An answer must not rest on what a failover could take back. A write that did not match
      // waits, by its write concern, until what it saw is the majority's: reading again sees it.
      readConcern: { level: "majority" },
      readPreference: "primary",
    });
  } catch {
    // The driver's message may quote the URL.
    throw new ConfigError("CART_DATABASE_URL: MongoDB's driver cannot read it.");
  }
}

const CHANGE: Step<UserChange, Done> = {
  decide: (cart, { change }) => rules.applyChange(cart, change),
  update: ({ change }) => changing(change),
  answer: () => DONE,
};

const TAKE: Step<OfOrder, Checkout> = {
  decide: (cart, { orderId }) => rules.take(cart, orderId),
  update: ({ orderId }) => taking(orderId),
  answer: (written, { orderId }) => rules.checkoutOf(written, orderId),
};

const RESTORE: Step<OfOrder, Done> = {
  decide: (cart, { orderId }) => rules.restore(cart, orderId),
  update: ({ orderId }, before, after) =>
    ending(orderId, { before, after, back: before.checkouts[orderId] ?? {} }),
  answer: () => DONE,
};

const FORGET: Step<OfOrder, Done> = {
  decide: (cart, { orderId }) => rules.forget(cart, orderId),
  update: ({ orderId }, before, after) => ending(orderId, { before, after, back: {} }),
  answer: () => DONE,
};

const ERASE: Step<OfUser, Done> = {
  decide: (cart) => rules.erase(cart),
  update: () => erasing,
  answer: () => DONE,
};

const toCart = ({ lines, checkouts, ended, floor, erased }: CartDocument): Cart => ({
  exists: lines !== undefined || checkouts !== undefined,
  lines: lines ?? {},
  checkouts: checkouts ?? {},
  ended: ended ?? {},
  floor: floor ?? 0,
  erased: erased ?? false,
});

// A server that shuts down, or is not the primary (any more).
const AWAY = new Set<unknown>([91, 189, 10_107, 11_600, 11_602, 13_435, 13_436]);
// What the driver lets through as it comes when a connection breaks under a write.
const NETWORK = new Set<unknown>(["EPIPE", "ECONNRESET", "ETIMEDOUT"]);

function translated(error: unknown): unknown {
  const { code, name } = error as { code?: unknown; name?: string };
  const away =
    error instanceof MongoNetworkError ||
    error instanceof MongoServerSelectionError ||
    error instanceof MongoWriteConcernError ||
    // Its class is not exported.
    name === "MongoWaitQueueTimeoutError" ||
    AWAY.has(code) ||
    NETWORK.has(code);
  if (!away) return error;
  return unavailable("DATABASE_UNREACHABLE", "The database is not reachable now; try again soon.");
}
