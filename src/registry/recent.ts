/**
 * Remembers the newest entries, at least as many as it was told to and at most twice that.
 *
 * Two maps by turns: to drop the oldest entry of one map each time makes V8 look for it among all that were dropped before.
 */
export class Recent<V> {
  readonly #size: number;
  #newer = new Map<string, V>();
  #older = new Map<string, V>();

  constructor(size: number) {
    this.#size = size;
  }

  get(key: string): V | undefined {
    return this.#newer.get(key) ?? this.#older.get(key);
  }

  set(key: string, value: V): void {
    if (this.#newer.size >= this.#size) {
      this.#older = this.#newer;
      this.#newer = new Map();
    }
    this.#newer.set(key, value);
  }
}
