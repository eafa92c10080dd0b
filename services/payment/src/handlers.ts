/** Payment's RPCs: what is well-formed, and the way into the domain. */
import { Controller, Inject } from "@nestjs/common";
import { GrpcMethod } from "@nestjs/microservices";
import type { ItemContext } from "@piata/contracts/item";
import * as rpc from "@piata/contracts/payment";
import { answerEach } from "@piata/kit/batch";
import { Failure } from "@piata/kit/errors";
import type { Handlers } from "@piata/kit/rpc-server";
import { checkedId } from "@piata/kit/validate";
import { Payments } from "./charge.js";
import { checkedTerms, type Payment, type State } from "./payment.js";

@Controller()
export class PaymentHandlers implements Handlers<rpc.PaymentServiceService> {
  readonly #payments: Payments;

  constructor(@Inject(Payments) payments: Payments) {
    this.#payments = payments;
  }

  @GrpcMethod("PaymentService")
  async batchCharge({ items }: rpc.BatchChargeRequest): Promise<rpc.BatchChargeResponse> {
    const results = await answerEach(
      items,
      (item) => ({ terms: checkedTerms(item), traceId: traceOf(item) }),
      (wanted) =>
        Promise.all(
          wanted.map(({ terms, traceId }) => result(this.#payments.charge(terms, traceId))),
        ),
    );
    return { results };
  }

  @GrpcMethod("PaymentService")
  async batchVoid({ items }: rpc.BatchVoidRequest): Promise<rpc.BatchVoidResponse> {
    const results = await answerEach(
      items,
      (item) => ({ orderId: checkedId(item.orderId, "order_id"), traceId: traceOf(item) }),
      (wanted) =>
        Promise.all(
          wanted.map(({ orderId, traceId }) => result(this.#payments.void(orderId, traceId))),
        ),
    );
    return { results };
  }
}

const traceOf = ({ context }: { context?: ItemContext | undefined }): string =>
  context?.traceId ?? "";

// One item's Failure is its answer; anything else that is thrown is a bug and ends the call.
async function result(payment: Promise<Payment>): Promise<{ payment: rpc.Payment } | Failure> {
  try {
    const { state, declineReason } = await payment;
    return { payment: { state: STATES[state], declineReason } };
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}

const STATES: Readonly<Record<State, rpc.PaymentState>> = {
  NONE: rpc.PaymentState.UNSPECIFIED,
  CHARGING: rpc.PaymentState.PENDING,
  CHARGED: rpc.PaymentState.CHARGED,
  DECLINED: rpc.PaymentState.DECLINED,
  VOID: rpc.PaymentState.VOID,
};
