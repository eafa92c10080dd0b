/** The port to whoever really takes the money, and gives it back. */
import { LATE, within } from "./attempts.js";
import type { Verdict } from "./payment.js";
import type { RefundVerdict } from "./refund.js";

export interface ChargeRequest {
  /** The idempotency key: however often it comes, money is taken at most once for it. */
  key: string;
  amountMinor: number;
  currencyCode: string;
  /** A token of the provider's; empty for its default. */
  method: string;
}

export interface RefundRequest {
  /** The key that the money was taken with. */
  key: string;
  /** The idempotency key among the refunds of that charge. */
  refundKey: string;
  amountMinor: number;
  currencyCode: string;
}

/** A refund as the provider has it in its book. */
export interface ProviderRefund extends RefundVerdict {
  refundKey: string;
  amountMinor: number;
}

/** All that the provider has in its book for a key. */
export interface ProviderEntry extends Verdict {
  key: string;
  amountMinor: number;
  currencyCode: string;
  refunds: ProviderRefund[];
  /** When it last decided anything about the key. */
  changedAt: Date;
}

export interface ProviderPage {
  entries: ProviderEntry[];
  /** What the next page is asked for with; undefined after the last one. */
  next: string | undefined;
}

/**
 * A provider. Any call may throw or never answer, which says nothing about what is true there:
 * money may have been taken. Then `find`, or the same call again with the same key, tells.
 */
export interface Provider {
  /** Takes the money, once per key. VOID when the key was cancelled before. */
  charge(request: ChargeRequest): Promise<Verdict>;
  /** What is true for a key; undefined when the provider has never decided on it. */
  find(key: string): Promise<Verdict | undefined>;
  /** Makes that no charge with this key ever takes money, or tells the verdict that came first. */
  cancel(key: string): Promise<Verdict>;
  /** Gives money of a charge back, once per refund key. */
  refund(request: RefundRequest): Promise<RefundVerdict>;
  /** What is true for a refund; undefined when the provider has never decided on it. */
  findRefund(key: string, refundKey: string): Promise<RefundVerdict | undefined>;
  /** Its book, in an order of its own; `after` is empty for the first page. */
  list(page: { after: string; limit: number }): Promise<ProviderPage>;
  /** What `list` has for a key. */
  findEntry(key: string): Promise<ProviderEntry | undefined>;
}

/** The same provider; a call that takes longer than `timeoutMs` throws. */
export function timeLimited(provider: Provider, timeoutMs: number): Provider {
  async function limited<Answer>(call: Promise<Answer>): Promise<Answer> {
    const answer = await within(timeoutMs, call);
    if (answer === LATE) throw new Error(`The provider did not answer within ${timeoutMs} ms.`);
    return answer;
  }
  return {
    charge: (request) => limited(provider.charge(request)),
    find: (key) => limited(provider.find(key)),
    cancel: (key) => limited(provider.cancel(key)),
    refund: (request) => limited(provider.refund(request)),
    findRefund: (key, refundKey) => limited(provider.findRefund(key, refundKey)),
    list: (page) => limited(provider.list(page)),
    findEntry: (key) => limited(provider.findEntry(key)),
  };
}
