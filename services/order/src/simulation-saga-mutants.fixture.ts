/**
 * The test of the test: sagas that do one step otherwise, each of which the simulation has to catch.
 */
import { ReservationState } from "@piata/contracts/catalog";
import { PaymentState } from "@piata/contracts/payment";
import { Checkout, type CheckoutOptions, type Orders } from "./checkout.js";
import { type Move, move, type Order } from "./order.js";
import type { Participants } from "./participants.js";
import type { Parts } from "./simulation.fixture.js";

type Step = Awaited<ReturnType<Checkout["step"]>>;

/** A saga that does one step otherwise. */
class OtherCheckout extends Checkout {
  protected readonly orders: Orders;
  protected readonly participants: Participants;

  constructor(options: CheckoutOptions) {
    super(options);
    this.orders = options.orders;
    this.participants = options.participants;
  }
}

/** A saga whose participants do something otherwise. */
function asking(change: (participants: Participants) => Partial<Participants>): Partial<Parts> {
  return {
    Checkout: class extends Checkout {
      constructor(options: CheckoutOptions) {
        const { participants } = options;
        super({ ...options, participants: { ...participants, ...change(participants) } });
      }
    },
  };
}

const checkout = (Other: typeof Checkout): Partial<Parts> => ({ Checkout: Other });
const nothing = async (): Promise<void> => undefined;

export const SAGA_MUTANTS: Readonly<Record<string, Partial<Parts>>> = {
  "the sale comes before PAID": checkout(
    class extends OtherCheckout {
      override async step(order: Order): Promise<Step> {
        const next = await super.step(order);
        if (isMoveTo("PAID", next)) await this.participants.sell(order);
        return next;
      }
    },
  ),

  "PAID comes before the charge": checkout(
    class extends OtherCheckout {
      override async step(order: Order): Promise<Step> {
        if (order.state === "APPROVED") return move(order, "PAID");
        if (order.state === "PAID") await this.participants.charge(order);
        return super.step(order);
      }
    },
  ),

  "a failure is shown before the cart is back": afterwards("restore"),
  "a failure is shown before the stock is back": afterwards("release"),

  "cancelling releases without a void": checkout(
    class extends OtherCheckout {
      override async step(order: Order): Promise<Step> {
        if (order.state !== "APPROVED" || !order.cancelRequested) return super.step(order);
        await Promise.all([this.participants.release(order), this.participants.restore(order)]);
        return move(order, "PAYMENT_FAILED", { reason: "CANCELLED" });
      }
    },
  ),

  "an intent's cart is put back before the order is ABANDONED": checkout(
    class extends OtherCheckout {
      override async step(order: Order): Promise<Step> {
        const next = await super.step(order);
        if (isMoveTo("ABANDONED", next)) await this.participants.restore(order);
        return next;
      }
    },
  ),

  "a payment that was asked for before is taken for declined": asking(({ charge }) => {
    const asked = new Set<number>();
    return {
      charge: async (order) => {
        if (asked.has(order.id)) return DECLINED;
        asked.add(order.id);
        return charge(order);
      },
    };
  }),

  "a stale hold is taken for a refusal": asking(({ reserve }) => ({
    reserve: async (order) => {
      const { total: _, ...reservation } = await reserve(order);
      if (order.tries === 0) return reserve(order);
      return { ...reservation, state: ReservationState.RELEASED, refusalReason: "OUT_OF_STOCK" };
    },
  })),

  "stock is not given back": asking(() => ({ release: nothing })),
  "a sale is forgotten": asking(() => ({ sell: nothing })),
  "the checkout of a paid order is forgotten by nobody": asking(() => ({ forget: nothing })),

  "a hold that is sold is taken for a refusal": asking(({ reserve }) => ({
    reserve: async (order) => {
      const reservation = await reserve(order);
      if (reservation.state !== ReservationState.SOLD) return reservation;
      return { ...reservation, state: ReservationState.RELEASED, refusalReason: "OUT_OF_STOCK" };
    },
  })),

  "a worker goes on when its move was lost": checkout(
    class extends Checkout {
      constructor(options: CheckoutOptions) {
        const { orders } = options;
        const advance = async (step: Move) => (await orders.advance(step)) ?? step.order;
        super({ ...options, orders: { ...orders, advance } });
      }
    },
  ),

  "a void that another worker asked for is taken for a timeout": checkout(
    class extends OtherCheckout {
      override async step(order: Order): Promise<Step> {
        if (order.state !== "APPROVED" || order.cancelRequested) return super.step(order);
        const { state } = await this.participants.charge(order);
        if (state !== PaymentState.VOID) return super.step(order);
        await Promise.all([this.participants.release(order), this.participants.restore(order)]);
        return move(order, "PAYMENT_FAILED", { reason: "PAYMENT_TIMEOUT" });
      }
    },
  ),
};

const DECLINED = { state: PaymentState.DECLINED, declineReason: "CARD_DECLINED" };

const isMoveTo = (state: Order["state"], step: Step): step is Move =>
  typeof step === "object" && step.from !== state && step.order.state === state;

/** What a step asks of a participant, it asks when its move is written. */
function afterwards(call: "restore" | "release"): Partial<Parts> {
  return checkout(
    class extends Checkout {
      constructor(options: CheckoutOptions) {
        const { participants, orders: written } = options;
        const owed: Order[] = [];
        super({
          ...options,
          participants: {
            ...participants,
            [call]: async (order: Order) => {
              owed.push(order);
            },
          },
          orders: {
            ...written,
            advance: async (step) => {
              const order = await written.advance(step);
              await Promise.all(owed.splice(0).map((one) => participants[call](one)));
              return order;
            },
          },
        });
      }
    },
  );
}
