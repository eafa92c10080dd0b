/** The order table in memory: what the statements of store.ts promise, each of them in one step. */
import type { Failure } from "@piata/kit/errors";
import type { Move, Order } from "./order.js";
import type { Scheduler } from "./simulation-scheduler.fixture.js";
import type { FirstAnswer, OrderStore } from "./store.js";
import { argumentsOf, type Wish } from "./wish.js";

const LEASE_MS = 5_000;
const WATCH_MS = 1_000;

export interface OrderRow extends Order {
  nextTryAtMs: number | null;
  /** What it was placed with; empty for none. */
  idempotencyKey: string;
}

type Key = Omit<FirstAnswer, "state">;

/** What of the store the saga and placing need. */
export type Store = Pick<
  OrderStore,
  | "placeIntent"
  | "advance"
  | "putOff"
  | "setAside"
  | "findOrders"
  | "findLastOrderId"
  | "keepFailure"
  | "findFirstAnswer"
>;

/** Its methods are the store's, without the waiting. */
export class OrderTable {
  readonly rows = new Map<number, OrderRow>();
  readonly keys = new Map<string, Key>();
  protected readonly scheduler: Scheduler;
  readonly #onDue: () => void;
  /** When the next look at an order is. */
  readonly #looks = new Map<number, number>();

  /** `onDue` is told again and again while an order is due. */
  constructor(scheduler: Scheduler, onDue: () => void) {
    this.scheduler = scheduler;
    this.#onDue = onDue;
  }

  placeIntent(wish: Wish): { orderId: number | undefined } {
    const { userId, paymentMethod, traceId, idempotencyKey } = wish;
    const key = keyOf(wish);
    if (idempotencyKey !== "" && this.keys.has(key)) return { orderId: undefined };
    const id = this.rows.size + 1;
    if (idempotencyKey !== "") {
      this.keys.set(key, { arguments: argumentsOf(wish), orderId: id, failure: null });
    }
    const { nowMs } = this.scheduler;
    this.rows.set(id, {
      id,
      userId,
      state: "INTENT",
      reason: "",
      paymentMethod,
      expectedTotalMinor: wish.expectedTotalMinor ?? null,
      lines: [],
      totalMinor: null,
      currencyCode: null,
      traceId,
      approvedAt: null,
      cancelRequested: false,
      refundedMinor: 0,
      setAsideReason: "",
      tries: 0,
      open: true,
      createdAt: new Date(nowMs),
      nextTryAtMs: nowMs + LEASE_MS,
      idempotencyKey,
    });
    this.scheduler.fact(`order ${id} of user ${userId} with key "${idempotencyKey}"`);
    this.#watch(id, nowMs + LEASE_MS);
    return { orderId: id };
  }

  advance(move: Move): Order | undefined {
    const { from, order } = move;
    const row = this.row(order.id);
    if (!this.mayMove(row, move)) {
      this.scheduler.note(`  order ${row.id} is ${row.state}: not ${from} -> ${order.state}`);
      return undefined;
    }
    const { nowMs } = this.scheduler;
    const { state, reason, lines, totalMinor, currencyCode, open } = order;
    Object.assign(row, { state, reason, lines, totalMinor, currencyCode, open, tries: 0 });
    if (state === "APPROVED") row.approvedAt = new Date(nowMs);
    this.scheduler.fact(`order ${row.id}: ${from} -> ${state}${open ? "" : ", over"} ${reason}`);
    this.tryAgainAt(row, open ? nowMs + LEASE_MS : null);
    if (state === "ABANDONED" && !open) this.freeKey(row);
    const { approvedAt, cancelRequested } = row;
    return { ...order, approvedAt, cancelRequested };
  }

  putOff({ id, state }: Order, delayMs: number): void {
    const row = this.row(id);
    if (row.state !== state || row.nextTryAtMs === null) return;
    row.tries += 1;
    this.tryAgainAt(row, this.scheduler.nowMs + delayMs);
  }

  setAside({ id, state }: Order, reason: string): void {
    const row = this.row(id);
    if (row.state !== state || row.nextTryAtMs === null) return;
    row.setAsideReason = reason;
    this.scheduler.fact(`order ${id} is set aside: ${reason}`);
    this.tryAgainAt(row, null);
  }

  claim(limit: number): Order[] {
    const { nowMs } = this.scheduler;
    const due = [...this.rows.values()].filter(
      ({ nextTryAtMs }) => nextTryAtMs !== null && nextTryAtMs <= nowMs,
    );
    return due.slice(0, limit).map((row) => {
      this.tryAgainAt(row, nowMs + LEASE_MS);
      return orderOf(row);
    });
  }

  requestCancel(id: number, userId: number): Order | undefined {
    const row = this.rows.get(id);
    if (row?.userId !== userId) return undefined;
    if (row.state !== "CREATED" && row.state !== "APPROVED") return undefined;
    row.cancelRequested = true;
    this.scheduler.fact(`order ${id} is to be cancelled`);
    if (row.nextTryAtMs !== null) {
      this.tryAgainAt(row, Math.min(row.nextTryAtMs, this.scheduler.nowMs));
    }
    return orderOf(row);
  }

  findOrders(ids: number[]): Map<number, Order> {
    const rows = ids.flatMap((id) => this.rows.get(id) ?? []).filter(isShown);
    return new Map(rows.map((row) => [row.id, orderOf(row)]));
  }

  findLastOrderId(userId: number): number | undefined {
    const shown = [...this.rows.values()].filter((row) => row.userId === userId && isShown(row));
    return shown.at(-1)?.id;
  }

  keepFailure(wish: Wish, failure: Failure): boolean {
    if (this.keys.has(keyOf(wish))) return false;
    const { code, reason, message, metadata } = failure;
    const kept = { code, reason, message, metadata };
    this.keys.set(keyOf(wish), { arguments: argumentsOf(wish), orderId: null, failure: kept });
    return true;
  }

  findFirstAnswer(wish: Pick<Wish, "userId" | "idempotencyKey">): FirstAnswer | undefined {
    const key = this.keys.get(keyOf(wish));
    if (!key) return undefined;
    return { ...key, state: this.rows.get(key.orderId ?? 0)?.state ?? null };
  }

  protected mayMove(row: OrderRow, { from }: Move): boolean {
    return row.state === from;
  }

  /** The order was abandoned, and nobody has had an answer. */
  protected freeKey(row: OrderRow): void {
    for (const [key, { orderId }] of this.keys) if (orderId === row.id) this.keys.delete(key);
  }

  protected tryAgainAt(row: OrderRow, atMs: number | null): void {
    row.nextTryAtMs = atMs;
    row.open = atMs !== null;
    if (atMs !== null) this.#watch(row.id, atMs);
  }

  protected row(id: number): OrderRow {
    const row = this.rows.get(id);
    if (!row) throw new Error(`There is no order ${id}.`);
    return row;
  }

  // One look per order is under way at most, at the time when it may be due.
  #watch(id: number, atMs: number): void {
    if ((this.#looks.get(id) ?? Number.POSITIVE_INFINITY) <= atMs) return;
    this.#looks.set(id, atMs);
    const look = () => {
      if (this.#looks.get(id) !== atMs) return;
      this.#looks.delete(id);
      const { nextTryAtMs } = this.row(id);
      const { nowMs } = this.scheduler;
      if (nextTryAtMs === null) return;
      if (nextTryAtMs <= nowMs) this.#onDue();
      this.#watch(id, nextTryAtMs > nowMs ? nextTryAtMs : nowMs + WATCH_MS);
    };
    this.scheduler.later(`order ${id} is looked at`, look, {
      delayMs: Math.max(0, atMs - this.scheduler.nowMs),
    });
  }
}

const keyOf = ({ userId, idempotencyKey }: Pick<Wish, "userId" | "idempotencyKey">): string =>
  `${userId} ${idempotencyKey}`;

const isShown = ({ state }: Order): boolean => state !== "INTENT" && state !== "ABANDONED";

function orderOf(row: OrderRow): Order {
  const { nextTryAtMs: _next, idempotencyKey: _key, ...order } = row;
  return { ...order, open: row.nextTryAtMs !== null };
}
