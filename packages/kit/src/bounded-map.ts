/** Maps that keep so many entries and no more. */

/** Sets a key; when that would be one too many, the one that came first goes. */
export function setBounded<Key, Value>(
  map: Map<Key, Value>,
  [key, value]: readonly [Key, Value],
  max: number,
): void {
  // A map keeps the order in which its keys came.
  if (!map.has(key) && map.size >= max) map.delete(map.keys().next().value as Key);
  map.set(key, value);
}

/** What a map keeps, that knows whether anybody has asked for it. */
export interface Kept {
  /** Since it was last looked at for leaving. */
  wanted: boolean;
}

/**
 * Takes one of the entries out that nobody wanted lately, the first that came, and returns it. Who was
 * wanted goes to the end of the queue instead: nearly as good as knowing who was wanted last, and an
 * entry that is found has nothing to move.
 */
export function makeRoom<Key, Value extends Kept>(map: Map<Key, Value>): Value | undefined {
  for (const [key, kept] of map) {
    map.delete(key);
    if (!kept.wanted) return kept;
    kept.wanted = false;
    map.set(key, kept);
  }
  return undefined;
}
