/** Payment's RPCs: what is well-formed, and the way into the domain. */
import { Controller, Inject } from "@nestjs/common";
import type { ItemContext } from "@piata/contracts/item";
import * as rpc from "@piata/contracts/payment";
import { answerEach } from "@piata/kit/batch";
import { Failure } from "@piata/kit/errors";
import { onlyFrom, Rpc } from "@piata/kit/permission";
import type { Handlers } from "@piata/kit/rpc-server";
import { checkedId } from "@piata/kit/validate";
import { Payments } from "./charge.js";
import { Refunds } from "./give-back.js";
import { checkedTerms, type Payment, type State } from "./payment.js";
import { Reconciler } from "./reconcile.js";
import { checkedRefund, type Refund, type RefundState } from "./refund.js";

@Controller()
export class PaymentHandlers implements Handlers<rpc.PaymentServiceService> {
  readonly #payments: Payments;
  readonly #refunds: Refunds;
  readonly #reconciler: Reconciler;

  constructor(
    @Inject(Payments) payments: Payments,
    @Inject(Refunds) refunds: Refunds,
    @Inject(Reconciler) reconciler: Reconciler,
  ) {
    this.#payments = payments;
    this.#refunds = refunds;
    this.#reconciler = reconciler;
  }

  @Rpc("PaymentService", onlyFrom("order"))
  async batchCharge({ items }: rpc.BatchChargeRequest): Promise<rpc.BatchChargeResponse> {
    const results = await answerEach(
      items,
      (item) => ({ terms: checkedTerms(item), traceId: traceOf(item) }),
      (wanted) =>
        Promise.all(
          wanted.map(({ terms, traceId }) =>
            result(charged(this.#payments.charge(terms, traceId))),
          ),
        ),
    );
    return { results };
  }

  @Rpc("PaymentService", onlyFrom("order"))
  async batchVoid({ items }: rpc.BatchVoidRequest): Promise<rpc.BatchVoidResponse> {
    const results = await answerEach(
      items,
      (item) => ({ orderId: checkedId(item.orderId, "order_id"), traceId: traceOf(item) }),
      (wanted) =>
        Promise.all(
          wanted.map(({ orderId, traceId }) =>
            result(charged(this.#payments.void(orderId, traceId))),
          ),
        ),
    );
    return { results };
  }

  @Rpc("PaymentService", onlyFrom("order"))
  async batchRefund({ items }: rpc.BatchRefundRequest): Promise<rpc.BatchRefundResponse> {
    const results = await answerEach(
      items,
      (item) => ({ terms: checkedRefund(item), traceId: traceOf(item) }),
      (wanted) =>
        Promise.all(
          wanted.map(({ terms, traceId }) =>
            result(refunded(this.#refunds.refund(terms, traceId))),
          ),
        ),
    );
    return { results };
  }

  @Rpc("PaymentService", onlyFrom("operator"))
  async reconcile(): Promise<rpc.ReconcileResponse> {
    const { compared, repaired, differences } = await this.#reconciler.reconcile();
    return { compared, repaired, differences };
  }
}

const traceOf = ({ context }: { context?: ItemContext | undefined }): string =>
  context?.traceId ?? "";

// One item's Failure is its answer; anything else that is thrown is a bug and ends the call.
async function result<Answer>(answer: Promise<Answer>): Promise<Answer | Failure> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}

async function charged(payment: Promise<Payment>): Promise<{ payment: rpc.Payment }> {
  const { state, declineReason } = await payment;
  return { payment: { state: STATES[state], declineReason } };
}

async function refunded(refund: Promise<Refund>): Promise<{ refund: rpc.Refund }> {
  const { state, refusalReason } = await refund;
  return { refund: { state: REFUND_STATES[state], refusalReason } };
}

const STATES: Readonly<Record<State, rpc.PaymentState>> = {
  NONE: rpc.PaymentState.UNSPECIFIED,
  CHARGING: rpc.PaymentState.PENDING,
  CHARGED: rpc.PaymentState.CHARGED,
  DECLINED: rpc.PaymentState.DECLINED,
  VOID: rpc.PaymentState.VOID,
};

const REFUND_STATES: Readonly<Record<RefundState, rpc.RefundState>> = {
  REFUNDING: rpc.RefundState.PENDING,
  REFUNDED: rpc.RefundState.REFUNDED,
  REFUSED: rpc.RefundState.REFUSED,
};
