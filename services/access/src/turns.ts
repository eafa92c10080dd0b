/** Takes turns, by key: what is done for one is done one after the other, in the order of asking. */
export class Turns {
  /** What ends with the last of those who have asked. */
  readonly #last = new Map<string, Promise<void>>();

  async inTurn<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.#last.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last.set(key, promise);
    await before;
    try {
      return await work();
    } finally {
      if (this.#last.get(key) === promise) this.#last.delete(key);
      resolve();
    }
  }
}
