/** A 32-bit mix of a seed and a name, so that every part of a world has chance of its own: one more draw here moves none there. */
function mixed(seed, name) {
  let hash = 0x811c9dc5 ^ seed;
  for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) | 0;
}

/** Chance that is the same for the same seed and name (Mulberry32). */
export class Dice {
  #state;

  /** @param {number} seed @param {string} name whose chance it is */
  constructor(seed, name) {
    this.#state = mixed(seed, name);
  }

  /** A number from 0 (included) to 1 (excluded). */
  fraction = () => {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let x = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 0x1_0000_0000;
  };

  chance(share) {
    return share > 0 && this.fraction() < share;
  }

  between(least, most) {
    return least + (most - least) * this.fraction();
  }

  whole(least, most) {
    return Math.floor(this.between(least, most + 1));
  }

  /** One of several. @template T @param {readonly T[]} several @returns {T} */
  oneOf(several) {
    return several[Math.floor(this.fraction() * several.length)];
  }

  /** A key of `weights`, as often as its weight says. @param {Readonly<Record<string, number>>} weights */
  weighted(weights) {
    const entries = Object.entries(weights);
    let rest = this.fraction() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of entries) {
      rest -= weight;
      if (rest < 0) return key;
    }
    return entries[0][0];
  }
}
