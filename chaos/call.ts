// One call of a customer's, and what they know after it.
import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "@piata/testkit/client";

/**
 * `done` and `refused` are answers. After `unknown` the shop may have done what was asked, may be doing
 * it still, or never will.
 */
export type Outcome<T> =
  | { readonly kind: "done"; readonly data: T }
  | { readonly kind: "refused" | "unknown"; readonly code: string; readonly reason: string };

/** Codes that are a promise that nothing was done. */
const REFUSALS = new Set([
  "INVALID_ARGUMENT",
  "UNAUTHENTICATED",
  "PERMISSION_DENIED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "FAILED_PRECONDITION",
  "RESOURCE_EXHAUSTED",
]);
const PAUSE_MS = 25;
const PAUSE_MS_MAX = 1_000;

export interface Calls {
  requests: number;
  /** By code and reason, of all that were not done. */
  readonly failures: Map<string, number>;
}

export async function attempt<T>(
  client: Client,
  calls: Calls,
  query: string,
  variables: Record<string, unknown> = {},
): Promise<Outcome<T>> {
  calls.requests += 1;
  const outcome = await outcomeOf<T>(client, query, variables);
  if (outcome.kind !== "done") {
    const what = `${outcome.code} ${outcome.reason}`.trim();
    calls.failures.set(what, (calls.failures.get(what) ?? 0) + 1);
  }
  return outcome;
}

async function outcomeOf<T>(
  client: Client,
  query: string,
  variables: Record<string, unknown>,
): Promise<Outcome<T>> {
  try {
    const { data, errors } = await client.graphql<T>(query, variables);
    const [error] = errors;
    if (error === undefined && data) return { kind: "done", data };
    const { code = "NO_CODE", reason = "" } = error?.extensions ?? {};
    return { kind: REFUSALS.has(code) ? "refused" : "unknown", code, reason };
  } catch (error) {
    // Not even whether the request arrived is known, unless nobody was there to take it.
    const cause = (error as Error).cause as { code?: string } | undefined;
    const reason = cause?.code ?? (error as Error).name;
    return { kind: reason === "ECONNREFUSED" ? "refused" : "unknown", code: "NO_ANSWER", reason };
  }
}

/** The pauses of a careful client that repeats a call: growing, and not in step with others'. */
export function patience(): () => Promise<void> {
  let ms = PAUSE_MS;
  return async () => {
    await pause(ms * (0.5 + Math.random()));
    ms = Math.min(ms * 2, PAUSE_MS_MAX);
  };
}
