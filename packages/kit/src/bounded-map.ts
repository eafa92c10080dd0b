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
