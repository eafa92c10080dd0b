/**
 * The verb: holds our book against the provider's, page by page. What the provider has decided and
 * we do not know is taken over; what cannot be is told.
 *
 * Both books go on changing meanwhile, so a difference is looked at once more before it is one.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Difference } from "@piata/contracts/payment";
import type { Log } from "@piata/kit/log";
import { keyOf, move } from "./payment.js";
import { type Provider, timeLimited } from "./provider.js";
import { type BookEntry, differences, IdSet, orderIdOf, type Pair } from "./reconciliation.js";
import { conclude, type Refund } from "./refund.js";
import type { RefundStore } from "./refund-store.js";
import type { PaymentStore } from "./store.js";

export interface ReconcilerOptions {
  payments: PaymentStore;
  refunds: RefundStore;
  provider: Provider;
  log: Log;
  /** How long one call to the provider may take. */
  providerTimeoutMs: number;
  /** Time between two rounds; 0 for none. */
  everyMs: number;
  /** A round leaves out what changed less than this ago. */
  ageMs: number;
  /** Told how many differences a round has found. */
  observe(differences: number): void;
}

/** What came of it. */
export interface Findings {
  /** Entries of both books that were looked at. */
  compared: number;
  /** Entries of ours that took over what the provider had decided. */
  repaired: number;
  /** All that were found. */
  differing: number;
  /** The first of them. */
  differences: Difference[];
}

interface Run {
  findings: Findings;
  /** Only what did not change since then, in ms since the epoch. */
  unchangedSinceMs: number;
}

const PAGE_ENTRIES = 1_000;
const DIFFERENCES_MAX = 100;

export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #provider: Provider;
  readonly #stop = new AbortController();
  readonly #rounds: Promise<void>;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#provider = timeLimited(options.provider, options.providerTimeoutMs);
    this.#rounds = options.everyMs > 0 ? this.#goRound() : Promise.resolve();
  }

  /** Reconciles all there is, now. Throws what the provider and the database do. */
  reconcile(): Promise<Findings> {
    return this.#reconcile(Number.POSITIVE_INFINITY);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#rounds;
  }

  async #goRound(): Promise<void> {
    const { everyMs, log } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      // Not all instances at once: who comes while another is at it has nothing to do.
      const restMs = everyMs * (0.75 + 0.5 * Math.random());
      await pause(restMs, undefined, { signal }).catch(() => undefined);
      try {
        if (!signal.aborted) await this.#round();
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ reason: (error as Error).message }, "could not reconcile");
      }
    }
  }

  async #round(): Promise<void> {
    const { payments, log, ageMs, observe } = this.#options;
    const outcome = await payments.alone(async () => {
      const { compared, repaired, differing, differences } = await this.#reconcile(
        Date.now() - ageMs,
      );
      for (const { orderId, kind, ours, theirs } of differences) {
        log.error({ orderId, kind, ours, theirs }, "the books differ");
      }
      log.info({ compared, repaired, differences: differing }, "reconciled");
      observe(differing);
    });
    // The one that is at it shows what there is; what this one found before may be mended by now.
    if (outcome === "taken") observe(0);
  }

  async #reconcile(unchangedSinceMs: number): Promise<Findings> {
    const findings: Findings = { compared: 0, repaired: 0, differing: 0, differences: [] };
    const run: Run = { findings, unchangedSinceMs };
    const seen = await this.#goThroughTheirs(run);
    await this.#goThroughOurs(run, seen);
    return findings;
  }

  /** Answers with the orders that the provider knows. */
  async #goThroughTheirs(run: Run): Promise<IdSet> {
    const seen = new IdSet();
    let after: string | undefined = "";
    while (after !== undefined) {
      this.#stop.signal.throwIfAborted();
      const page = await this.#provider.list({ after, limit: PAGE_ENTRIES });
      const orderIds = page.entries.map(({ key }) => orderIdOf(key));
      for (const orderId of orderIds) seen.add(orderId);
      const ours = await this.#ours(orderIds);
      run.findings.compared += page.entries.length + ours.size;
      const pairs = page.entries.map((theirs) => ({
        key: theirs.key,
        ours: ours.get(theirs.key),
        theirs,
      }));
      await this.#examine(run, pairs);
      after = page.next;
    }
    return seen;
  }

  /** Looks for what only we have. */
  async #goThroughOurs(run: Run, seen: IdSet): Promise<void> {
    const { payments } = this.#options;
    let after: number | undefined = 0;
    while (after !== undefined) {
      this.#stop.signal.throwIfAborted();
      const page: number[] = await payments.listCharged({ after, limit: PAGE_ENTRIES });
      const unseen = await this.#ours(page.filter((orderId) => !seen.has(orderId)));
      run.findings.compared += unseen.size;
      await this.#examine(
        run,
        [...unseen].map(([key, ours]) => ({ key, ours, theirs: undefined })),
      );
      after = page.length < PAGE_ENTRIES ? undefined : page.at(-1);
    }
  }

  async #examine({ findings, unchangedSinceMs }: Run, pairs: Pair[]): Promise<void> {
    const differing = async (some: Pair[]) => {
      const still = some.filter(({ ours, theirs }) =>
        [ours, theirs].every((entry) => !entry || entry.changedAt.getTime() <= unchangedSinceMs),
      );
      const known = await Promise.all(still.map((pair) => this.#repair(findings, pair)));
      return known.filter((pair) => differences(pair).length > 0);
    };
    const suspects = await differing(pairs);
    if (suspects.length === 0) return;
    const found = (await differing(await this.#readAgain(suspects))).flatMap(differences);
    findings.differing += found.length;
    findings.differences.push(...found.slice(0, DIFFERENCES_MAX - findings.differences.length));
  }

  // Ours first: what we say is charged, the provider must know by then.
  async #readAgain(pairs: Pair[]): Promise<Pair[]> {
    const ours = await this.#ours(pairs.map(({ key }) => orderIdOf(key)));
    return Promise.all(
      pairs.map(async ({ key }) => ({
        key,
        ours: ours.get(key),
        theirs: await this.#provider.findEntry(key),
      })),
    );
  }

  async #ours(orderIds: number[]) {
    if (orderIds.length === 0) return new Map<string, BookEntry>();
    const entries = await this.#options.payments.readBook(orderIds);
    return new Map(entries.map((entry) => [keyOf(entry.payment), entry]));
  }

  /** Takes over what the provider has decided, by the updates that record any verdict. */
  async #repair(findings: Findings, pair: Pair): Promise<Pair> {
    const { ours, theirs } = pair;
    if (!ours || !theirs) return pair;
    let { payment } = ours;
    if (payment.state === "CHARGING") {
      const { state, declineReason } = theirs;
      payment = await this.#options.payments.settle(move(payment, state, declineReason));
      findings.repaired += 1;
    }
    const decided = new Map(theirs.refunds.map((refund) => [refund.refundKey, refund]));
    const refunds = await Promise.all(
      ours.refunds.map((refund): Refund | Promise<Refund> => {
        const verdict = decided.get(refund.refundKey);
        if (refund.state !== "REFUNDING" || !verdict) return refund;
        findings.repaired += 1;
        return this.#options.refunds.settle(conclude(refund, verdict));
      }),
    );
    return { ...pair, ours: { ...ours, payment, refunds } };
  }
}
