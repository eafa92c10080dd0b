// One customer: fills a cart, changes their mind, orders as a careful client does, and watches the order.
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "@piata/testkit/client";
import type { Random } from "@piata/testkit/random";
import { attempt, patience } from "./call.ts";
import { change, type Journal, type Purchase, type Shopper } from "./journal.ts";
import type { Range } from "./market.ts";
import { repeatOrder, sendOrder, watchOrder } from "./ordering.ts";
import type { Staff } from "./staff.ts";

const METHODS: readonly (readonly [method: string, weight: number])[] = [
  ["success", 60],
  ["declined", 12],
  ["slow", 8],
  ["answer-lost", 12],
  ["answer-lost-before", 8],
];
/** Where there are refunds. */
const REFUND_METHODS: typeof METHODS = [
  ["refund-answer-lost", 6],
  ["refund-refused", 4],
];
const COPIES_AT_ONCE = 4;
const REJECTIONS_MAX = 3;

const ADD = "mutation ($input: CartItemInput!) { addToCart(input: $input) }";
const SET = "mutation ($input: UpdateItemInput!) { updateItemQuantity(input: $input) }";
const REMOVE = "mutation ($productId: Float!) { removeItem(productId: $productId) }";
const CART = "{ cart { lines { productId quantity } } }";
const CANCEL = "mutation ($orderId: Float!) { cancelOrder(orderId: $orderId) { value } }";

/** The orders that a run still wants. */
export class Wanted {
  #left: number;

  constructor(orders: number) {
    this.#left = orders;
  }

  take(): boolean {
    if (this.#left === 0) return false;
    this.#left -= 1;
    return true;
  }

  /** One that was taken became no order. */
  giveBack(): void {
    this.#left += 1;
  }
}

export interface CustomerOptions {
  readonly journal: Journal;
  readonly range: Range;
  readonly random: Random;
  /** A client of somebody new, and who that is. */
  readonly register: () => Promise<{ client: Client; userId: number }>;
  /** Undefined where the shop has no refunds. */
  readonly staff: Staff | undefined;
  readonly canCancel: boolean;
  readonly wanted: Wanted;
  /** Aborted when the time is up. */
  readonly signal: AbortSignal;
}

export class Customer {
  readonly #options: CustomerOptions;
  #client: Client;
  #shopper: Shopper;
  /** Products of which a change may still be on its way: nothing is known of them any more. */
  #blurred = new Set<number>();
  #rejections = 0;

  private constructor(options: CustomerOptions, client: Client, userId: number) {
    this.#options = options;
    this.#client = client;
    this.#shopper = options.journal.newShopper(userId);
  }

  static async come(options: CustomerOptions): Promise<Customer> {
    const { client, userId } = await options.register();
    return new Customer(options, client, userId);
  }

  async shop(): Promise<void> {
    const { wanted, journal, signal, random } = this.#options;
    while (!signal.aborted && wanted.take()) {
      if (this.#rejections >= REJECTIONS_MAX) await this.#comeAsSomebodyElse();
      await this.#fillCart();
      if (random.chance(0.2)) await this.#changeMind();
      const purchase = await this.#order();
      const [orderId] = purchase.orderIds;
      if (orderId === undefined) {
        wanted.giveBack();
        continue;
      }
      if (this.#options.canCancel && random.chance(0.08)) await this.#cancel(purchase, orderId);
      const end = await watchOrder(this.#client, journal, purchase, signal);
      this.#rejections = end === "ITEMS_REJECTED" ? this.#rejections + 1 : 0;
      if (end === "ITEMS_REJECTED") await this.#changeMind();
      if (end === "PAID" && random.chance(0.1)) await this.#askBack(purchase, orderId);
    }
  }

  // With a cart that is refused again and again, there is nothing more to learn.
  async #comeAsSomebodyElse(): Promise<void> {
    const { client, userId } = await this.#options.register();
    this.#client = client;
    this.#shopper = this.#options.journal.newShopper(userId);
    this.#blurred = new Set();
    this.#rejections = 0;
  }

  async #fillCart(): Promise<void> {
    const { random, range, signal } = this.#options;
    const rest = patience();
    let isFilled = false;
    for (let wanted = random.integer(1, 3); wanted > 0 || !isFilled; ) {
      if (signal.aborted) return;
      const productId = range.pick(random);
      if (this.#blurred.has(productId)) continue;
      const isAdded = await this.#add(productId, random.integer(1, 3));
      if (isAdded) isFilled = true;
      else await rest();
      wanted -= 1;
    }
  }

  async #add(productId: number, quantity: number): Promise<boolean> {
    const outcome = await this.#ask(ADD, { input: { productId, quantity } });
    if (outcome.kind !== "refused") {
      change(this.#shopper, productId, quantity, outcome.kind === "done");
    }
    if (outcome.kind === "unknown") this.#blurred.add(productId);
    return outcome.kind === "done";
  }

  // Only while no order of this customer's is open, so that what was read is what is changed; and only
  // products of which no change can be on its way. Without an answer, the product is left alone from then on.
  async #changeMind(): Promise<void> {
    const { random } = this.#options;
    const seen = await this.#ask<{ cart: { lines: Line[] } | null }>(CART);
    if (seen.kind !== "done") return;
    const lines = seen.data.cart?.lines.filter(({ productId }) => !this.#blurred.has(productId));
    if (lines === undefined || lines.length === 0) return;
    const { productId, quantity } = random.pick(lines);
    const newQuantity = random.chance(0.5) ? 0 : random.integer(1, 4);
    const outcome =
      newQuantity === 0
        ? await this.#ask(REMOVE, { productId })
        : await this.#ask(SET, { input: { productId, newQuantity } });
    if (outcome.kind === "refused") return;
    change(this.#shopper, productId, newQuantity - quantity, outcome.kind === "done");
    if (outcome.kind === "unknown") this.#blurred.add(productId);
  }

  /** Until there is an answer, with the same key. */
  async #order(): Promise<Purchase> {
    const { journal, random, staff, signal } = this.#options;
    const method = weighted(random, staff ? [...METHODS, ...REFUND_METHODS] : METHODS);
    const purchase = journal.newPurchase(this.#shopper.userId, randomUUID(), method);
    const copies = random.chance(0.1) ? COPIES_AT_ONCE : 1;
    journal.repeats += copies - 1;
    const sends = Array.from({ length: copies }, () => sendOrder(this.#client, journal, purchase));
    const answers = await Promise.all(sends);
    if (!answers.includes(true)) await repeatOrder(this.#client, journal, purchase, signal);
    return purchase;
  }

  async #cancel(purchase: Purchase, orderId: number): Promise<void> {
    await pause(this.#options.random.integer(0, 30));
    purchase.cancel = "asked";
    const outcome = await this.#ask(CANCEL, { orderId });
    if (outcome.kind === "done") purchase.cancel = "acknowledged";
    if (outcome.kind === "refused") purchase.cancel = "refused";
  }

  // Part of it, all of it, or both at once: together never more than there is.
  async #askBack(purchase: Purchase, orderId: number): Promise<void> {
    const { staff, random } = this.#options;
    const amounts = random.pick([[1], [undefined], [1, undefined], [1, 1]]);
    await Promise.all(amounts.map((amount) => staff?.refund(purchase, orderId, amount)));
  }

  #ask<T>(query: string, variables: Record<string, unknown> = {}) {
    return attempt<T>(this.#client, this.#options.journal, query, variables);
  }
}

interface Line {
  productId: number;
  quantity: number;
}

function weighted(random: Random, methods: typeof METHODS): string {
  const total = methods.reduce((sum, [, weight]) => sum + weight, 0);
  let left = random.integer(1, total);
  for (const [method, weight] of methods) {
    left -= weight;
    if (left <= 0) return method;
  }
  throw new Error("The weights do not add up.");
}
