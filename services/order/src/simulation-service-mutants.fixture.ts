/**
 * The test of the test: participants and a table that break one promise each, which the simulation
 * has to catch.
 */
import type { BatchTakeResponse_Result } from "@piata/contracts/cart";
import type { Reservation } from "@piata/contracts/catalog";
import { type Payment, PaymentState } from "@piata/contracts/payment";
import type { Order } from "./order.js";
import type { Parts } from "./simulation.fixture.js";
import { type OrderRow, OrderTable } from "./simulation-orders.fixture.js";
import { SimulatedPayments } from "./simulation-payment.fixture.js";
import { SimulatedCarts, SimulatedCatalog } from "./simulation-shop.fixture.js";

const carts = (Carts: typeof SimulatedCarts): Partial<Parts> => ({ Carts });
const catalog = (Catalog: typeof SimulatedCatalog): Partial<Parts> => ({ Catalog });
const payments = (Payments: typeof SimulatedPayments): Partial<Parts> => ({ Payments });
const orders = (Orders: typeof OrderTable): Partial<Parts> => ({ Orders });

export const SERVICE_MUTANTS: Readonly<Record<string, Partial<Parts>>> = {
  "release adds the units again when it is repeated": catalog(
    class extends SimulatedCatalog {
      override release(order: Order): void {
        const standing = this.reservations.get(order.id);
        if (standing?.state === "RELEASED") this.free(standing.lines);
        super.release(order);
      }
    },
  ),

  "release leaves no mark, so that a late reserve holds for ever": catalog(
    class extends SimulatedCatalog {
      override release(order: Order): void {
        if (this.reservations.has(order.id)) super.release(order);
      }
    },
  ),

  "release gives back what is sold": catalog(
    class extends SimulatedCatalog {
      override release(order: Order): void {
        const standing = this.reservations.get(order.id);
        if (standing) this.reservations.set(order.id, { ...standing, state: "HELD" });
        super.release(order);
      }
    },
  ),

  "reserve decides again when it is repeated": catalog(
    class extends SimulatedCatalog {
      override reserve(order: Order): Reservation {
        this.reservations.delete(order.id);
        return super.reserve(order);
      }
    },
  ),

  "reserve decides again when it had refused": catalog(
    class extends SimulatedCatalog {
      override reserve(order: Order): Reservation {
        if (this.reservations.get(order.id)?.state === "RELEASED") {
          this.reservations.delete(order.id);
        }
        return super.reserve(order);
      }
    },
  ),

  "sell sells again what was released": catalog(
    class extends SimulatedCatalog {
      override sell(order: Order): void {
        const standing = this.reservations.get(order.id);
        if (standing) this.put(order, { ...standing, state: "SOLD" });
      }

      override release(order: Order): void {
        const standing = this.reservations.get(order.id);
        if (standing?.state === "HELD") this.free(standing.lines);
        this.reservations.delete(order.id);
      }
    },
  ),

  "restore puts the lines back again when it is repeated": carts(
    class extends SimulatedCarts {
      override restore(order: Order): void {
        this.putBack(order, this.checkouts.get(order.id)?.lines ?? new Map());
        this.end(order);
      }
    },
  ),

  "restore leaves no mark, so that a late take takes": carts(
    class extends SimulatedCarts {
      override restore(order: Order): void {
        if (this.checkouts.has(order.id)) super.restore(order);
      }
    },
  ),

  "take takes although the checkout has ended": carts(
    class extends SimulatedCarts {
      override take(order: Order): BatchTakeResponse_Result {
        if (this.checkouts.get(order.id)?.state === "ENDED") this.checkouts.delete(order.id);
        return super.take(order);
      }
    },
  ),

  "take takes again when it is repeated": carts(
    class extends SimulatedCarts {
      override take(order: Order): BatchTakeResponse_Result {
        if ((this.carts.get(order.userId)?.size ?? 0) > 0) this.checkouts.delete(order.id);
        return super.take(order);
      }
    },
  ),

  "forget puts the lines back": carts(
    class extends SimulatedCarts {
      override forget(order: Order): void {
        this.restore(order);
      }
    },
  ),

  "payment charges without an idempotency key": payments(
    class extends SimulatedPayments {
      #attempts = 0;

      protected override keyOf(order: Order): string {
        this.#attempts += 1;
        return `${super.keyOf(order)}-attempt-${this.#attempts}`;
      }
    },
  ),

  "payment takes a lost answer for a decline": payments(
    class extends SimulatedPayments {
      protected override unknown(order: Order): void {
        this.settle(order, { state: "DECLINED", declineReason: "PROVIDER_ERROR" });
      }
    },
  ),

  "void does not ask the provider": payments(
    class extends SimulatedPayments {
      override async void(order: Order): Promise<Payment> {
        if (!this.rows.has(order.id)) this.bury(order);
        this.settle(order, { state: "VOID", declineReason: "" });
        return this.answerOf(order);
      }
    },
  ),

  "void leaves no mark, so that a late charge charges": payments(
    class extends SimulatedPayments {
      override async void(order: Order): Promise<Payment> {
        if (this.rows.has(order.id)) return super.void(order);
        return { state: PaymentState.VOID, declineReason: "" };
      }
    },
  ),

  "a move is written from whatever state": orders(
    class extends OrderTable {
      protected override mayMove(): boolean {
        return true;
      }
    },
  ),

  "an order that is put off is forgotten": orders(
    class extends OrderTable {
      override putOff({ id }: Order): void {
        this.tryAgainAt(this.row(id), null);
      }
    },
  ),

  "an abandoned order keeps its key": orders(
    class extends OrderTable {
      protected override freeKey(_: OrderRow): void {}
    },
  ),

  "an order is claimed once only": orders(
    class extends OrderTable {
      override claim(limit: number): Order[] {
        const claimed = super.claim(limit);
        for (const { id } of claimed) this.tryAgainAt(this.row(id), null);
        return claimed;
      }
    },
  ),

  "a key is kept, and its order is not": orders(
    class extends OrderTable {
      override findFirstAnswer(): undefined {
        return undefined;
      }
    },
  ),
};
