/** The port to whoever really takes the money. */
import { LATE, within } from "./attempts.js";
import type { Verdict } from "./payment.js";

export interface ChargeRequest {
  /** The idempotency key: however often it comes, money is taken at most once for it. */
  key: string;
  amountMinor: number;
  currencyCode: string;
  /** A token of the provider's; empty for its default. */
  method: string;
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
  };
}
