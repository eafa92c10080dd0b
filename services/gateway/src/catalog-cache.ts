/**
 * Products and categories that were asked for, kept while the catalog tells what changes.
 *
 * Kept is only what was asked for after the stream of changes began, and was not named by it while
 * the answer was on its way. When the stream ends or is silent, nothing is used: then every read is
 * the catalog's, as if there were no cache.
 */
import type { Category } from "@piata/contracts/catalog";
import { type Kept, makeRoom } from "@piata/kit/bounded-map";
import type { Metrics } from "@piata/kit/metrics";
import { Counter, Gauge } from "prom-client";
import type { ShownProduct } from "./catalog.js";

// What a product takes, rather too much than too little: 290 bytes without texts, as measured, and up
// to two for each character.
const BYTES_BASE = 400;
const BYTES_PER_CATEGORY = 130;
/** Most products take less than half of it; those with the longest texts, five times as much. */
const BYTES_PER_PRODUCT = 2_000;

export interface CatalogCacheOptions {
  /** Products that it keeps at most; 0 keeps nothing at all. */
  productsMax: number;
  /** Whether everything that changed until a moment ago has been told. */
  isLive(): boolean;
  metrics: Metrics;
}

interface KeptProduct extends Kept {
  product: ShownProduct;
  bytes: number;
}

/** What a read was: found here, asked of the catalog, or asked as nothing may be used. */
interface Reads {
  hit: number;
  miss: number;
  off: number;
}

/** Products and categories as they were last asked for. */
export class CatalogCache {
  readonly #options: CatalogCacheOptions;
  readonly #products = new Map<number, KeptProduct>();
  /** By product, the ticket of the answers under way that may be kept. */
  readonly #asked = new Map<number, number>();
  #categories: Category[] | undefined;
  #categoriesAsked = 0;
  #tickets = 0;
  #bytes = 0;
  readonly #reads = {
    product: { hit: 0, miss: 0, off: 0 },
    categories: { hit: 0, miss: 0, off: 0 },
  } satisfies Record<string, Reads>;
  readonly #dropped = { changed: 0, full: 0, lost: 0 };

  constructor(options: CatalogCacheOptions) {
    this.#options = options;
    this.#show(options.metrics);
  }

  /** The product, if it is known as it is now. */
  findProduct(id: number): ShownProduct | undefined {
    const reads = this.#reads.product;
    if (!this.#isOn()) {
      reads.off += 1;
      return undefined;
    }
    const kept = this.#products.get(id);
    if (!kept) {
      reads.miss += 1;
      return undefined;
    }
    reads.hit += 1;
    kept.wanted = true;
    return kept.product;
  }

  /** The categories, if they are known as they are now. */
  findCategories(): Category[] | undefined {
    const reads = this.#reads.categories;
    if (!this.#isOn()) {
      reads.off += 1;
      return undefined;
    }
    reads[this.#categories ? "hit" : "miss"] += 1;
    return this.#categories;
  }

  /**
   * Asks for a product that is not known, and keeps the answer if nothing changed on its way. A
   * product that is not there is not kept. Throws what `ask` throws.
   */
  async fetchProduct(id: number, ask: () => Promise<ShownProduct>): Promise<ShownProduct> {
    if (!this.#isOn()) return ask();
    // Answers that are under way together have one ticket: the first to come is kept, and the others
    // find it used. A change takes it away.
    const ticket = this.#asked.get(id) ?? ++this.#tickets;
    this.#asked.set(id, ticket);
    try {
      const product = await ask();
      if (this.#asked.get(id) === ticket) this.#keep(id, product);
      return product;
    } finally {
      if (this.#asked.get(id) === ticket) this.#asked.delete(id);
    }
  }

  /** Asks for the categories, and keeps the answer if nothing changed on its way. */
  async fetchCategories(ask: () => Promise<Category[]>): Promise<Category[]> {
    if (!this.#isOn()) return ask();
    const ticket = ++this.#tickets;
    this.#categoriesAsked = ticket;
    const categories = await ask();
    if (this.#categoriesAsked === ticket) this.#categories = categories;
    return categories;
  }

  /** Forgets a product, and the answers that are on their way. */
  dropProduct(id: number): void {
    this.#asked.delete(id);
    if (this.#remove(id)) this.#dropped.changed += 1;
  }

  dropCategories(): void {
    this.#categoriesAsked = 0;
    if (this.#categories) this.#dropped.changed += 1;
    this.#categories = undefined;
  }

  /** Forgets everything. */
  clear(): void {
    this.#dropped.lost += this.#products.size + (this.#categories ? 1 : 0);
    this.#products.clear();
    this.#bytes = 0;
    this.#asked.clear();
    this.#categories = undefined;
    this.#categoriesAsked = 0;
  }

  #isOn(): boolean {
    return this.#options.productsMax > 0 && this.#options.isLive();
  }

  #keep(id: number, product: ShownProduct): void {
    const { productsMax } = this.#options;
    const bytes = bytesOf(product);
    this.#remove(id);
    const isFull = () =>
      this.#products.size >= productsMax || this.#bytes + bytes > productsMax * BYTES_PER_PRODUCT;
    while (this.#products.size > 0 && isFull()) this.#makeRoom();
    this.#products.set(id, { product, bytes, wanted: false });
    this.#bytes += bytes;
  }

  #makeRoom(): void {
    this.#bytes -= makeRoom(this.#products)?.bytes ?? 0;
    this.#dropped.full += 1;
  }

  #remove(id: number): boolean {
    const kept = this.#products.get(id);
    if (!kept) return false;
    this.#bytes -= kept.bytes;
    return this.#products.delete(id);
  }

  // Counted as plain numbers and shown when they are asked for: a hit is cheaper than a counter.
  #show({ registry }: Metrics): void {
    const registers = [registry];
    const reads = this.#reads;
    new Counter({
      name: "piata_catalog_cache_reads_total",
      help: "Reads of products and categories, by what the cache had for them.",
      labelNames: ["of", "result"],
      registers,
      collect() {
        this.reset();
        for (const [of, counts] of Object.entries(reads)) {
          for (const [result, count] of Object.entries(counts)) this.inc({ of, result }, count);
        }
      },
    });
    const dropped = this.#dropped;
    new Counter({
      name: "piata_catalog_cache_drops_total",
      help: "What the cache forgot, and why.",
      labelNames: ["reason"],
      registers,
      collect() {
        this.reset();
        for (const [reason, count] of Object.entries(dropped)) this.inc({ reason }, count);
      },
    });
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(value());
        },
      });
    gauge("piata_catalog_cache_products", "Products in the cache.", () => this.#products.size);
    gauge("piata_catalog_cache_bytes", "What they take, estimated.", () => this.#bytes);
    // One that is switched off is nothing to worry about.
    if (this.#options.productsMax === 0) return;
    gauge("piata_catalog_cache_live", "Whether the cache may be used now: 1 or 0.", () =>
      Number(this.#isOn()),
    );
  }
}

function bytesOf({ name, imageUrl, categories }: ShownProduct): number {
  let characters = name.length + imageUrl.length;
  for (const category of categories) characters += category.name.length;
  return BYTES_BASE + categories.length * BYTES_PER_CATEGORY + 2 * characters;
}
