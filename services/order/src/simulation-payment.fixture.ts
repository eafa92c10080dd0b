/**
 * Payment in memory, and the provider behind it with a book of its own, which is asked over the
 * network.
 */
import { type Payment, PaymentState } from "@piata/contracts/payment";
import { failedPrecondition, unavailable } from "@piata/kit/errors";
import type { Order } from "./order.js";
import type { Network } from "./simulation-network.fixture.js";
import type { Owner, Scheduler } from "./simulation-scheduler.fixture.js";

interface Verdict {
  state: "CHARGED" | "DECLINED" | "VOID";
  declineReason: string;
}

interface Row {
  state: "CHARGING" | Verdict["state"];
  declineReason: string;
  amountMinor: number;
  paymentMethod: string;
}

/** Money that was taken for an order. */
interface Taken {
  times: number;
  amountMinor: number;
}

const AWAY = unavailable("PROVIDER_AWAY", "The provider does not answer.");
const VOID: Verdict = { state: "VOID", declineReason: "" };

/** What it decides on a key first, it says for ever. */
export class SimulatedProvider {
  readonly book = new Map<string, Verdict>();
  /** By order id. */
  readonly taken = new Map<number, Taken>();
  /** Until then it answers no charge, though it does cancel. */
  chargesFromMs = 0;
  readonly #scheduler: Scheduler;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  charge(key: string, { id, totalMinor, paymentMethod }: Order): Verdict {
    if (this.#scheduler.nowMs < this.chargesFromMs) throw AWAY;
    const isGood = paymentMethod === "success";
    const state = isGood ? "CHARGED" : "DECLINED";
    const verdict = this.#decide(key, { state, declineReason: isGood ? "" : "CARD_DECLINED" });
    if (verdict.isNew && isGood) {
      const { times, amountMinor } = this.taken.get(id) ?? { times: 0, amountMinor: 0 };
      this.taken.set(id, { times: times + 1, amountMinor: amountMinor + (totalMinor ?? 0) });
    }
    return verdict;
  }

  find(key: string): Verdict | undefined {
    return this.book.get(key);
  }

  cancel(key: string): Verdict {
    return this.#decide(key, VOID);
  }

  #decide(key: string, verdict: Verdict): Verdict & { isNew: boolean } {
    const standing = this.book.get(key);
    if (standing) return { ...standing, isNew: false };
    this.book.set(key, verdict);
    this.#scheduler.fact(`provider: ${key} ${verdict.state}`);
    return { ...verdict, isNew: true };
  }
}

export class SimulatedPayments {
  readonly rows = new Map<number, Row>();
  protected readonly provider: SimulatedProvider;
  readonly #scheduler: Scheduler;
  readonly #network: Network;
  readonly #charges = new Map<number, Promise<void>>();
  readonly #cancellations = new Map<number, Promise<void>>();
  readonly #self: Owner = { name: "payment", dead: false, awakeAtMs: 0 };

  constructor(scheduler: Scheduler, network: Network, provider: SimulatedProvider) {
    this.#scheduler = scheduler;
    this.#network = network;
    this.provider = provider;
  }

  async charge(order: Order): Promise<Payment> {
    const { totalMinor, paymentMethod } = order;
    const amountMinor = totalMinor ?? 0;
    const standing = this.rows.get(order.id);
    const row = standing ?? { state: "CHARGING", declineReason: "", amountMinor, paymentMethod };
    if (!standing) this.rows.set(order.id, row);
    if (row.state === "VOID") return this.answerOf(order);
    if (row.amountMinor !== amountMinor || row.paymentMethod !== paymentMethod) {
      throw failedPrecondition("PAYMENT_MISMATCH", `Order ${order.id} was charged otherwise.`);
    }
    if (row.state !== "CHARGING") return this.answerOf(order);
    return this.#join(order, this.#charges, () =>
      standing ? this.goOnTaking(order) : this.take(order),
    );
  }

  async void(order: Order): Promise<Payment> {
    const standing = this.rows.get(order.id);
    if (!standing) this.bury(order);
    if (standing?.state !== "CHARGING") return this.answerOf(order);
    return this.#join(order, this.#cancellations, () =>
      this.ask(`cancel ${order.id}`, () => this.provider.cancel(this.keyOf(order))),
    );
  }

  /** The idempotency key that the order has at the provider. */
  protected keyOf({ id }: Order): string {
    return `order-${id}`;
  }

  protected take(order: Order): Promise<Verdict> {
    const key = this.keyOf(order);
    return this.ask(`charge ${order.id}`, () => this.provider.charge(key, order));
  }

  /**
   * An earlier attempt was cut off: the provider is asked what is true before it is asked to
   * charge.
   */
  protected async goOnTaking(order: Order): Promise<Verdict> {
    const known = await this.ask(`find ${order.id}`, () => this.provider.find(this.keyOf(order)));
    return known ?? this.take(order);
  }

  /** Makes that a charge that comes later finds the payment void. */
  protected bury({ id }: Order): void {
    this.rows.set(id, { ...VOID, amountMinor: 0, paymentMethod: "" });
  }

  /** The provider has not answered: nothing is known. */
  protected unknown(_: Order): void {}

  protected settle({ id }: Order, verdict: Verdict): void {
    const row = this.rows.get(id);
    if (row?.state !== "CHARGING") return;
    this.rows.set(id, { ...row, ...verdict });
    this.#scheduler.fact(`payment: order ${id} ${verdict.state}`);
  }

  protected ask<Answer>(what: string, act: () => Answer): Promise<Answer> {
    return this.#network.call(this.#self, { what: `provider, ${what}`, act, repeats: true });
  }

  protected answerOf({ id }: Order): Payment {
    const { state = "CHARGING", declineReason = "" } = this.rows.get(id) ?? {};
    return { state: PaymentState[state === "CHARGING" ? "PENDING" : state], declineReason };
  }

  // One attempt per order is under way at most. Its asker may hear that it is not known yet.
  async #join(
    order: Order,
    attempts: Map<number, Promise<void>>,
    begin: () => Promise<Verdict>,
  ): Promise<Payment> {
    const attempt = attempts.get(order.id) ?? this.#untilKnown(order, attempts, begin());
    attempts.set(order.id, attempt);
    if (this.#scheduler.chance(0.8)) await attempt;
    return this.answerOf(order);
  }

  async #untilKnown(
    order: Order,
    attempts: Map<number, Promise<void>>,
    verdict: Promise<Verdict>,
  ): Promise<void> {
    try {
      const { state, declineReason } = await verdict;
      this.settle(order, { state, declineReason });
    } catch {
      this.unknown(order);
    } finally {
      attempts.delete(order.id);
    }
  }
}
