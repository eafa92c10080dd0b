/**
 * A process of the order service: the real saga and the real way in, over the simulated network.
 */
import { Failure, failedPrecondition, isFailure, notFound } from "@piata/kit/errors";
import type { Log } from "@piata/kit/log";
import type { Checkout } from "./checkout.js";
import type { Order } from "./order.js";
import type { Participants } from "./participants.js";
import { Place } from "./place.js";
import type { Asked, Network } from "./simulation-network.fixture.js";
import type { OrderTable, Store } from "./simulation-orders.fixture.js";
import type { SimulatedPayments, SimulatedProvider } from "./simulation-payment.fixture.js";
import type { Owner, Scheduler } from "./simulation-scheduler.fixture.js";
import type { SimulatedCarts, SimulatedCatalog } from "./simulation-shop.fixture.js";
import { argumentsOf, type Wish } from "./wish.js";

export const PAYMENT_LIMIT_MS = 60_000;
const CLAIM_MAX = 10;
const OPEN_MAX = 1_000;
// What Place spends on waiting for the first call with a key, here in virtual time.
const KEY_POLL_MS = 250;
const KEY_POLLS = 10;

/** Everything that a history is about. */
export interface World {
  scheduler: Scheduler;
  network: Network;
  orders: OrderTable;
  carts: SimulatedCarts;
  catalog: SimulatedCatalog;
  payments: SimulatedPayments;
  provider: SimulatedProvider;
  log: Log;
  Checkout: typeof Checkout;
  /** Told of what is thrown and is no answer. */
  onBug(error: unknown): void;
}

export class Instance implements Asked {
  readonly name: string;
  dead = false;
  awakeAtMs = 0;
  readonly waiting = new Set<() => void>();
  /** Orders that it works on. */
  busy = 0;
  readonly #world: World;
  readonly #checkout: Checkout;
  readonly #place: Place;

  constructor(name: string, world: World) {
    this.name = name;
    this.#world = world;
    const { scheduler, log } = world;
    const store = storeOf(this, world);
    const participants = participantsOf(this, world);
    this.#checkout = new world.Checkout({
      orders: store,
      participants,
      log,
      paymentLimitMs: PAYMENT_LIMIT_MS,
      now: () => scheduler.nowMs,
      random: () => scheduler.random(),
    });
    this.#place = new Place({
      // It needs no more of either than there is here.
      store,
      worker: this,
      participants,
      checkout: this.#checkout,
      log,
      openMax: OPEN_MAX,
    });
  }

  async place(wish: Wish): Promise<number> {
    try {
      return await this.#place.place(wish);
    } catch (error) {
      if (isFailure(error, "ORDER_ABANDONED")) this.#expectCartBack(wish);
      throw error;
    }
  }

  /**
   * As the handler does it. Throws NOT_FOUND / ORDER_NOT_FOUND; FAILED_PRECONDITION / ORDER_OVER.
   */
  async cancel(userId: number, orderId: number): Promise<void> {
    const { orders } = this.#world;
    const cancel = () => orders.requestCancel(orderId, userId);
    if (await this.#ask(`cancel ${orderId}`, cancel)) return;
    const found = await this.#ask(`find ${orderId}`, () => orders.findOrders([orderId]));
    if (!found.has(orderId)) throw notFound("ORDER_NOT_FOUND", `There is no order ${orderId}.`);
    throw failedPrecondition("ORDER_OVER", "There is nothing to cancel.");
  }

  /** Takes over what is due, as the kit's Worker does. */
  async claim(): Promise<void> {
    const { orders } = this.#world;
    const jobs = await this.#ask("claim", () => orders.claim(CLAIM_MAX)).catch(() => []);
    for (const order of jobs) this.start(order);
  }

  start(order: Order): void {
    this.busy += 1;
    this.#checkout
      .run(order)
      .catch((error) => {
        if (!(error instanceof Failure)) this.#world.onBug(error);
      })
      .finally(() => {
        this.busy -= 1;
      });
  }

  /** In the middle of whatever it does. */
  die(): void {
    this.dead = true;
    for (const fail of this.waiting) fail();
  }

  /** The customer is told so now. */
  #expectCartBack({ traceId }: Wish): void {
    const { orders, carts, onBug } = this.#world;
    for (const { id, state, traceId: of } of orders.rows.values()) {
      if (of !== traceId || state !== "ABANDONED") continue;
      if (carts.checkouts.get(id)?.state === "TAKEN") {
        onBug(new Error(`Order ${id} is told to be abandoned, and its cart is not back.`));
      }
    }
  }

  #ask<Answer>(what: string, act: () => Answer): Promise<Answer> {
    return this.#world.network.call(this, { what, act, repeats: false });
  }
}

function storeOf(owner: Owner, { network, scheduler, orders }: World): Store {
  const ask = <Answer>(what: string, act: () => Answer): Promise<Answer> =>
    network.call(owner, { what, act, repeats: false });
  return {
    placeIntent: (wish) => ask("intent", () => orders.placeIntent(wish)),
    advance: (move) => ask(`move ${move.order.id}`, () => orders.advance(move)),
    putOff: (order, delayMs) => ask(`put off ${order.id}`, () => orders.putOff(order, delayMs)),
    setAside: (order, reason) => ask(`set aside ${order.id}`, () => orders.setAside(order, reason)),
    findOrders: (ids) => ask(`find ${ids}`, () => orders.findOrders(ids)),
    findLastOrderId: (userId) => ask("find last", () => orders.findLastOrderId(userId)),
    keepFailure: (wish, failure) => ask("keep", () => orders.keepFailure(wish, failure)),
    // Place asks again and again, by a real clock. It is answered when it would stop.
    findFirstAnswer: async (wish) => {
      for (let polls = 1; ; polls += 1) {
        const answer = await ask("find first answer", () => orders.findFirstAnswer(wish));
        const isKnown =
          answer &&
          (answer.arguments !== argumentsOf(wish) ||
            answer.failure !== null ||
            (answer.state !== "INTENT" && answer.state !== "ABANDONED"));
        if (isKnown) return answer;
        if (polls === KEY_POLLS) throw KEY_IN_USE;
        await scheduler.pause(`${owner.name}: poll`, { delayMs: KEY_POLL_MS, owner });
      }
    },
  };
}

const KEY_IN_USE = new Failure("ABORTED", "IDEMPOTENCY_KEY_IN_USE", "It is not answered yet.");

function participantsOf(owner: Owner, { network, carts, catalog, payments }: World): Participants {
  const ask = <Answer>(what: string, act: () => Answer | Promise<Answer>): Promise<Answer> =>
    network.call(owner, { what, act, repeats: true });
  return {
    cartOf: ({ userId }) => ask("look into the cart", () => carts.cartOf(userId)),
    take: (order) => ask(`take ${order.id}`, () => carts.take(order)),
    taken: (order) => ask(`taken ${order.id}`, () => carts.taken(order)),
    restore: (order) => ask(`restore ${order.id}`, () => carts.restore(order)),
    forget: (order) => ask(`forget ${order.id}`, () => carts.forget(order)),
    reserve: (order) => ask(`reserve ${order.id}`, () => catalog.reserve(order)),
    sell: (order) => ask(`sell ${order.id}`, () => catalog.sell(order)),
    release: (order) => ask(`release ${order.id}`, () => catalog.release(order)),
    charge: (order) => ask(`charge ${order.id}`, () => payments.charge(order)),
    void: (order) => ask(`void ${order.id}`, () => payments.void(order)),
  };
}
