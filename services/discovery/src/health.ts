/** What an instance's probes say about it, and which instances of a service that keeps listed. */

/** How one probe ended. */
export type Outcome =
  | { verdict: "SERVING" }
  /** NOT_SERVING: it said so. DEAD: nobody is there. NO_ANSWER: late, or we could not ask. */
  | { verdict: "NOT_SERVING" | "DEAD" | "NO_ANSWER"; why: string };

/**
 * UNPROBED: it has just come and counts as healthy. SILENT: it left probes unanswered. DOWN: it
 * says that it does not serve, or nobody is there.
 */
export type State = "UNPROBED" | "HEALTHY" | "SILENT" | "DOWN";

export interface Health {
  state: State;
  /** Why it is SILENT or DOWN, as a person would say it; else "". */
  why: string;
  /** When it got into its state, by the registry's clock. */
  sinceMs: number;
  /** Probes without an answer, in a row. */
  silentProbes: number;
  /** When the first of these ended. */
  silentSinceMs: number;
}

/** One late answer is a hiccup. */
const SILENT_PROBES_MIN = 2;

export const unprobed = (nowMs: number): Health => ({
  state: "UNPROBED",
  why: "",
  sinceMs: nowMs,
  silentProbes: 0,
  silentSinceMs: nowMs,
});

/** The health after one more probe. Only a probe that succeeds makes what is DOWN healthy again. */
export function afterProbe(health: Health, outcome: Outcome, nowMs: number): Health {
  if (outcome.verdict === "SERVING") {
    const wasUp = health.state === "HEALTHY" || health.state === "UNPROBED";
    const sinceMs = wasUp ? health.sinceMs : nowMs;
    return { ...unprobed(nowMs), state: "HEALTHY", sinceMs };
  }
  if (outcome.verdict !== "NO_ANSWER") {
    const sinceMs = health.state === "DOWN" ? health.sinceMs : nowMs;
    return { ...unprobed(nowMs), state: "DOWN", why: outcome.why, sinceMs };
  }
  if (health.state === "DOWN") return health;
  const silentProbes = health.silentProbes + 1;
  const silentSinceMs = silentProbes === 1 ? nowMs : health.silentSinceMs;
  const silent = { ...health, silentProbes, silentSinceMs };
  if (silentProbes < SILENT_PROBES_MIN) return silent;
  const why = `${outcome.why} to ${silentProbes} probes`;
  return { ...silent, state: "SILENT", why, sinceMs: silentSinceMs };
}

/**
 * The instances of one service that callers are told of. Those that are DOWN are not. Those that
 * are SILENT are not, unless that were more than half of the others: then it is rather we, or the
 * machine, that are slow, and to send everybody to the few that are left would end those as well
 * (Envoy calls this its panic threshold). Their leases still run out when they really are gone.
 */
export function listable<Entry extends { health: Health }>(entries: readonly Entry[]): Entry[] {
  const up = entries.filter(({ health }) => health.state !== "DOWN");
  const answering = up.filter(({ health }) => health.state !== "SILENT");
  return answering.length * 2 < up.length ? up : answering;
}
