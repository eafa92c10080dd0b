/** Customers: they fill carts, buy, ask again when they heard nothing, change their minds. */
import { type Failure, isFailure } from "@piata/kit/errors";
import type { Instance, World } from "./simulation-instance.fixture.js";
import { PRODUCTS } from "./simulation-shop.fixture.js";
import type { Wish } from "./wish.js";

/** What a customer was told about a purchase: an order, or that there was nothing to buy. */
interface Answer {
  /** One key, or one wish without a key. */
  purchase: string;
  answer: string;
  orderId: number | undefined;
}

const ROUNDS_MAX = 4;
const REST_MAX_MS = 20_000;
const REPEATS_MAX = 3;

const METHODS = ["success", "success", "success", "declined"];
const EXPECTED_MINOR = [100, 200];

export class Customer {
  readonly userId: number;
  readonly answers: Answer[] = [];
  readonly #keyed: { purchase: string; wish: Wish }[] = [];
  readonly #world: World;
  readonly #someInstance: () => Instance;
  #purchases = 0;
  #calls = 0;

  /** `someInstance` is whichever process of the order service the load balancer picks. */
  constructor(userId: number, world: World, someInstance: () => Instance) {
    this.userId = userId;
    this.#world = world;
    this.#someInstance = someInstance;
  }

  async shop(): Promise<void> {
    const { scheduler } = this.#world;
    const doings: Promise<void>[] = [];
    for (let left = 1 + scheduler.below(ROUNDS_MAX); left > 0; left -= 1) {
      this.#fillCart();
      const doing = this.#buy();
      doings.push(doing);
      if (scheduler.chance(0.6)) await doing;
      await this.#rest(REST_MAX_MS);
    }
    await Promise.all(doings);
  }

  /** Asks for each purchase with a key once more: it has an answer, and always the same. */
  async askAgain(): Promise<void> {
    for (const { purchase, wish } of this.#keyed) {
      const failure = await this.#place(purchase, wish);
      if (failure) throw new Error(`${purchase} has no answer at rest: ${failure.reason}`);
    }
  }

  #fillCart(): void {
    const { scheduler, carts } = this.#world;
    for (let lines = scheduler.below(2); lines >= 0; lines -= 1) {
      const productId = scheduler.pick(PRODUCTS);
      const quantity = 1 + scheduler.below(2);
      scheduler.later(`user ${this.userId} adds ${quantity} of product ${productId}`, () =>
        carts.add(this.userId, productId, quantity),
      );
    }
  }

  async #buy(): Promise<void> {
    const { scheduler } = this.#world;
    const { purchase, wish } = this.#newWish();
    if (wish.idempotencyKey === "") {
      await this.#place(purchase, wish);
      return;
    }
    this.#keyed.push({ purchase, wish });
    const asks = [this.#askFor(purchase, wish)];
    if (scheduler.chance(0.3)) asks.push(this.#askFor(purchase, wish));
    await Promise.all(asks);
  }

  #newWish(): { purchase: string; wish: Wish } {
    const { scheduler } = this.#world;
    const { userId } = this;
    this.#purchases += 1;
    const purchase = `purchase-${userId}-${this.#purchases}`;
    const wish = {
      userId,
      passport: "",
      traceId: "",
      spanId: "",
      paymentMethod: scheduler.pick(METHODS),
      idempotencyKey: scheduler.chance(0.6) ? purchase : "",
      expectedTotalMinor: scheduler.chance(0.2) ? scheduler.pick(EXPECTED_MINOR) : undefined,
      deadlineMs: Number.POSITIVE_INFINITY,
    };
    return { purchase, wish };
  }

  /** With a key: until there is an answer, or the customer has had enough. */
  async #askFor(purchase: string, wish: Wish): Promise<void> {
    for (let times = 0; times < REPEATS_MAX; times += 1) {
      const failure = await this.#place(purchase, wish);
      if (!failure) return;
      await this.#rest(REST_MAX_MS);
    }
  }

  /** Undefined when there is an answer; otherwise why there is none. */
  async #place(purchase: string, wish: Wish): Promise<Failure | undefined> {
    const { scheduler, network } = this.#world;
    const instance = this.#someInstance();
    const what = `user ${this.userId} places ${purchase}`;
    const act = () => instance.place({ ...wish, traceId: this.#newTraceId() });
    const repeats = wish.idempotencyKey !== "";
    try {
      const orderId = await network.ask(instance, { what, act, repeats });
      this.answers.push({ purchase, answer: `order ${orderId}`, orderId });
      if (scheduler.chance(0.3)) await this.#cancel(orderId);
      return undefined;
    } catch (error) {
      if (!isFailure(error)) throw error;
      if (error.reason !== "CART_EMPTY") return error;
      const answer = `CART_EMPTY ${error.metadata.lastOrderId}`;
      this.answers.push({ purchase, answer, orderId: undefined });
      return undefined;
    }
  }

  async #cancel(orderId: number): Promise<void> {
    const { network } = this.#world;
    await this.#rest(1_000);
    for (let times = 0; times < REPEATS_MAX; times += 1) {
      const instance = this.#someInstance();
      const what = `user ${this.userId} cancels order ${orderId}`;
      const act = () => instance.cancel(this.userId, orderId);
      try {
        return await network.ask(instance, { what, act, repeats: true });
      } catch (error) {
        if (isFailure(error, "ORDER_NOT_FOUND")) throw new Error(`${what}: ${error.message}`);
        if (isFailure(error, "ORDER_OVER")) return;
      }
    }
  }

  /** Of one call. */
  #newTraceId(): string {
    this.#calls += 1;
    return `trace-${this.userId}-${this.#calls}`;
  }

  #rest(maxMs: number): Promise<void> {
    const { scheduler } = this.#world;
    const what = `user ${this.userId} goes on`;
    return scheduler.pause(what, { delayMs: scheduler.someMs(maxMs) });
  }
}
