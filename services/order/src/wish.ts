/** The wish to order: what a customer may ask for, and what their key is bound to. */
import type { BatchPlaceOrdersRequest_Item } from "@piata/contracts/order";
import { handedOnMs, signedIn } from "@piata/kit/context";
import { invalidArgument } from "@piata/kit/errors";
import { checkedKey } from "@piata/kit/validate";

const PAYMENT_METHOD = /^[A-Za-z0-9_-]{0,64}$/;

/** What a customer asks for. */
export interface Wish {
  userId: number;
  /** Shown to whom the order asks in the customer's name. */
  passport: string;
  traceId: string;
  /** The span that asks for it; "" when none is recorded. */
  spanId: string;
  paymentMethod: string;
  /** Empty for none. */
  idempotencyKey: string;
  expectedTotalMinor: number | undefined;
  /** Until when the customer waits, in ms since the epoch; nothing is begun after that. */
  deadlineMs: number;
}

const PLACE_MS = 10_000;

/**
 * Throws UNAUTHENTICATED / SIGN_IN_REQUIRED; INVALID_ARGUMENT / PAYMENT_METHOD_INVALID,
 * IDEMPOTENCY_KEY_INVALID, EXPECTED_TOTAL_INVALID.
 */
export function checkedWish(item: BatchPlaceOrdersRequest_Item): Wish {
  const { context, paymentMethod, idempotencyKey, expectedTotalMinor } = item;
  const userId = signedIn(context);
  if (!PAYMENT_METHOD.test(paymentMethod)) {
    throw invalidArgument(
      "PAYMENT_METHOD_INVALID",
      "paymentMethod must be a token of the payment provider: letters, digits, - and _, at most 64.",
      { field: "paymentMethod" },
    );
  }
  if (idempotencyKey !== "") {
    checkedKey(idempotencyKey, { field: "idempotencyKey", reason: "IDEMPOTENCY_KEY_INVALID" });
  }
  const total = expectedTotalMinor ?? 0;
  if (!Number.isSafeInteger(total) || total < 0) {
    throw invalidArgument(
      "EXPECTED_TOTAL_INVALID",
      "expectedTotalMinor must be a whole number of minor units, 0 or more.",
      { field: "expectedTotalMinor" },
    );
  }
  const { traceId = "", spanId = "", passport = "" } = context ?? {};
  const deadlineMs = Date.now() + handedOnMs(context?.timeoutMs ?? 0, PLACE_MS);
  const asked = { userId, passport, traceId, spanId, deadlineMs };
  return { ...asked, paymentMethod, idempotencyKey, expectedTotalMinor };
}

/** What a key is bound to. */
export const argumentsOf = ({ paymentMethod, expectedTotalMinor }: Wish): string =>
  JSON.stringify([paymentMethod, expectedTotalMinor ?? null]);
