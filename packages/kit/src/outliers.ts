/**
 * Outlier ejection: an instance that keeps failing gets no calls for a while, although it is listed
 * and its connection stands. It is for what a list learns late: a process that hangs, a network
 * that swallows packets.
 *
 * grpc-js has a policy for it, which counts every status but OK: wrong passwords would eject a
 * healthy instance. Here only calls that no instance has answered count.
 */
import type { AddressSource } from "./address.js";

/** Failures in a row after which an instance is ejected. */
const FAILURES = 3;
const EJECT_MS = 1_000;
const EJECT_MS_MAX = 30_000;

/** How an instance has done of late. */
interface Standing {
  failures: number;
  /** How often it was ejected since it last answered. */
  ejections: number;
  /** Set while it is ejected. */
  back: NodeJS.Timeout | undefined;
}

/** The addresses of a source, without those that keep failing; at least half of them stay. */
export class Outliers implements AddressSource {
  readonly #source: AddressSource;
  readonly #records = new Map<string, Standing>();
  readonly #listeners = new Set<(addresses: readonly string[]) => void>();
  #known: readonly string[] = [];

  constructor(source: AddressSource) {
    this.#source = source;
  }

  /** How many instances get calls; 1 while none is known. */
  get size(): number {
    return Math.max(1, this.#left().length);
  }

  /** All that are known, ejected or not. */
  get known(): readonly string[] {
    return this.#known;
  }

  subscribe(listener: (addresses: readonly string[]) => void): () => void {
    this.#listeners.add(listener);
    const unsubscribe = this.#source.subscribe((addresses) => {
      // A source that knows of none has lost sight of them; what it said last still counts.
      if (addresses.length > 0) this.#known = [...new Set(addresses)];
      for (const address of this.#records.keys()) {
        if (!this.#known.includes(address)) this.#forget(address);
      }
      listener(this.#left());
    });
    return () => {
      this.#listeners.delete(listener);
      unsubscribe();
      for (const address of this.#records.keys()) this.#forget(address);
    };
  }

  /** An instance has answered. */
  answered(address: string): void {
    const record = this.#records.get(address);
    // A late answer does not end an ejection before its time.
    if (record && !record.back) this.#records.delete(address);
  }

  /** An instance has not answered a call: its connection broke, or time ran out. */
  failed(address: string): void {
    if (!this.#known.includes(address)) return;
    const record = this.#records.get(address) ?? { failures: 0, ejections: 0, back: undefined };
    this.#records.set(address, record);
    record.failures += 1;
    if (record.failures < FAILURES || record.back || !this.#mayEject()) return;
    const ejectMs = Math.min(EJECT_MS * 2 ** record.ejections, EJECT_MS_MAX);
    record.ejections += 1;
    record.back = setTimeout(() => {
      record.back = undefined;
      record.failures = 0;
      this.#tell();
    }, ejectMs).unref();
    this.#tell();
  }

  #mayEject(): boolean {
    return (this.#known.length - this.#notEjected().length + 1) * 2 <= this.#known.length;
  }

  // The list may have become shorter since an ejection, so that too few would be left by now.
  #left(): readonly string[] {
    const left = this.#notEjected();
    return left.length * 2 >= this.#known.length ? left : this.#known;
  }

  #notEjected(): string[] {
    return this.#known.filter((address) => !this.#records.get(address)?.back);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener(this.#left());
  }

  #forget(address: string): void {
    clearTimeout(this.#records.get(address)?.back);
    this.#records.delete(address);
  }
}
