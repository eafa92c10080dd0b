/** How many wrong passwords are checked before everyone has to wait: the rules, without a database. */
import { createHash } from "node:crypto";
import { findEmail } from "./user.js";

/** The limits hold in any stretch of time of this length. */
export const WINDOW_SECONDS = 15 * 60;

/** Wrong passwords within the window. */
export interface GuessLimits {
  /** Of one account, wherever they come from. */
  perAccount: number;
  /** Of those, from networks that the account's user has not signed in from. */
  byStrangers: number;
  /** From one network, for whichever accounts. */
  perNetwork: number;
}

/** Something that a guess is counted under. */
export interface Slot {
  key: Buffer;
  limit: number;
}

/** Under which name guesses of an account are counted, however its e-mail is written. */
export const accountOf = (emailText: string): string => findEmail(emailText) ?? emailText;

/** What a guess at an account is counted under. */
export function slotsOf(
  { account, network = "" }: { account: string; network: string | undefined },
  isKnown: boolean,
  { perAccount, byStrangers, perNetwork }: GuessLimits,
): Slot[] {
  const slots = [{ key: keyOf("account", account), limit: perAccount }];
  // A known network is bound by the account's limit only: others of the same network cannot take
  // it away.
  if (isKnown) return slots;
  return [
    ...slots,
    { key: keyOf("strangers", account), limit: byStrangers },
    { key: keyOf("network", network), limit: perNetwork },
  ];
}

const keyOf = (kind: string, text: string): Buffer =>
  createHash("sha256").update(`${kind}:${text}`).digest();

/**
 * How many seconds until every slot has room; 0 when all have. `agesOf` tells how many seconds ago
 * each counted guess was, the oldest first.
 */
export function waitSeconds(slots: readonly Slot[], agesOf: (slot: Slot) => number[]): number {
  const waits = slots.map((slot) => {
    const ages = agesOf(slot);
    // The one after whose end there is room.
    const age = ages[ages.length - slot.limit];
    return age === undefined ? 0 : Math.max(WINDOW_SECONDS - age, 0.001);
  });
  return Math.max(...waits);
}
