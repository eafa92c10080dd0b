/**
 * Who a token speaks for. The access service is asked once per token, not once per request; the
 * answer is kept while the stream of ended sessions is alive, and not believed for a moment longer.
 */
import type {
  AccessServiceService,
  Identity,
  WatchRevocationsResponse,
} from "@piata/contracts/access";
import { batched } from "@piata/kit/batch";
import { setBounded } from "@piata/kit/bounded-map";
import type { Context } from "@piata/kit/context";
import { unauthenticated } from "@piata/kit/errors";
import type { Log } from "@piata/kit/log";
import type { Metrics } from "@piata/kit/metrics";
import type { RpcClient } from "@piata/kit/rpc-client";
import { ChangeStream } from "./change-stream.js";

const KEPT_MAX = 50_000;
const TOKEN_LENGTH_MAX = 4_000;
/** Longer than any access token lives. */
const ENDED_KEPT_MS = 2 * 3_600_000;

export interface SessionsOptions {
  access: RpcClient<AccessServiceService>;
  metrics: Metrics;
  log: Log;
  /** A monotonic clock, in ms. */
  now?(): number;
}

/** Whom access tokens speak for, remembered for as long as that can be trusted. */
export class Sessions {
  readonly #now: () => number;
  readonly #authenticate: (
    context: Context,
    item: { accessToken: string },
  ) => Promise<{
    identity?: Identity | undefined;
  }>;
  readonly #kept = new Map<string, Identity>();
  /** Sessions that have ended, and when to forget that. */
  readonly #ended = new Map<string, number>();
  readonly #ends: ChangeStream<WatchRevocationsResponse>;

  constructor({ access, metrics, log, now = () => performance.now() }: SessionsOptions) {
    this.#now = now;
    this.#authenticate = batched(access.batchAuthenticate, {
      name: "gateway.authenticate",
      metrics,
      key: ({ accessToken }) => accessToken,
    });
    this.#ends = new ChangeStream({
      of: "ended sessions",
      watch: access.watchRevocations,
      changed: ({ sessionIds }) => this.#end(sessionIds),
      log,
      now,
    });
  }

  /** Throws UNAUTHENTICATED / TOKEN_INVALID, TOKEN_EXPIRED, SESSION_ENDED; UNAVAILABLE. */
  async identify(context: Context, accessToken: string): Promise<Identity> {
    const kept = this.#ends.isLive ? this.#kept.get(accessToken) : undefined;
    if (kept && (kept.expiresAt?.getTime() ?? 0) > Date.now()) {
      if (this.#ended.has(kept.sessionId)) throw sessionEnded();
      return kept;
    }
    if (accessToken.length > TOKEN_LENGTH_MAX) {
      throw unauthenticated("TOKEN_INVALID", "This is not one of our access tokens.");
    }
    const { identity } = await this.#authenticate(context, { accessToken });
    // The session may have ended while the answer was on its way.
    if (!identity || this.#ended.has(identity.sessionId)) throw sessionEnded();
    setBounded(this.#kept, [accessToken, identity], KEPT_MAX);
    return identity;
  }

  close(): Promise<void> {
    return this.#ends.close();
  }

  #end(sessionIds: string[]): void {
    const forgetMs = this.#now() + ENDED_KEPT_MS;
    for (const id of sessionIds) this.#ended.set(id, forgetMs);
    this.#forgetOld();
  }

  // Oldest first: a map keeps the order in which its keys came.
  #forgetOld(): void {
    for (const [id, forgetMs] of this.#ended) {
      if (forgetMs > this.#now()) return;
      this.#ended.delete(id);
    }
  }
}

const sessionEnded = () =>
  unauthenticated("SESSION_ENDED", "This session has ended; sign in again.");
