/** Where carts are kept: one promise, kept by MongoDB and by PostgreSQL. */
import type { Failure } from "@piata/kit/errors";
import type { Cart, Change, Checkout, Done } from "./cart.js";

export interface OfUser {
  userId: number;
}

export interface UserChange extends OfUser {
  change: Change;
}

export interface OfOrder extends OfUser {
  orderId: number;
}

/**
 * Every method takes a list and answers it in order. The items of one user apply in order, each
 * wholly or not at all, whatever else goes on at the same time; a refused item is its Failure and
 * leaves its neighbours alone. While the database is away: UNAVAILABLE / DATABASE_UNREACHABLE,
 * thrown or as answers.
 */
export interface CartStore {
  /** What is kept about each user; who is not in the answer has nothing. */
  find(userIds: number[]): Promise<Map<number, Cart>>;
  /** Failures: those of `applyChange`. */
  change(changes: UserChange[]): Promise<(Done | Failure)[]>;
  take(orders: OfOrder[]): Promise<(Checkout | Failure)[]>;
  restore(orders: OfOrder[]): Promise<(Done | Failure)[]>;
  forget(orders: OfOrder[]): Promise<(Done | Failure)[]>;
  erase(users: OfUser[]): Promise<(Done | Failure)[]>;
  close(): Promise<void>;
}
