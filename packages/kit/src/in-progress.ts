/** What is under way: put in and taken out thousands of times a second. */

/** What can be in one such list at a time, and knows where it is. */
export interface Placed {
  /** -1 while it is in none. */
  place: number;
}

/**
 * What is under way, in no order.
 *
 * Not a Set: V8 lets each table of a Set or Map point to the next one, into which it was copied when
 * it was full of deleted entries. A table that has grown old keeps all later ones alive, and what was
 * in them, until the old generation is collected. The gateway's collector spent a fifth of its
 * CPU time on requests that were over.
 */
export class InProgress<Item extends Placed> implements Iterable<Item> {
  readonly #items: Item[] = [];

  get size(): number {
    return this.#items.length;
  }

  add(item: Item): void {
    item.place = this.#items.push(item) - 1;
  }

  /** False when it was not there. */
  delete(item: Item): boolean {
    const { place } = item;
    if (place < 0) return false;
    item.place = -1;
    const last = this.#items.pop() as Item;
    if (last !== item) {
      this.#items[place] = last;
      last.place = place;
    }
    return true;
  }

  /** What is there now; whatever comes or goes meanwhile changes nothing of it. */
  [Symbol.iterator](): Iterator<Item> {
    return [...this.#items][Symbol.iterator]();
  }
}
