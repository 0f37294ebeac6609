/** Chance that repeats itself from its seed: Bob Jenkins' sfc, 32 bits. */
export class Chance {
  #a;
  #b;
  #c;
  #counter = 1;
  #spare;

  constructor(seed, stream = 0) {
    this.#a = 0x9e3779b9;
    this.#b = seed | 0;
    this.#c = stream | 0;
    for (let turn = 0; turn < 15; turn++) this.fraction();
  }

  /** From 0 (included) to 1 (excluded). */
  fraction = () => {
    const sum = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 0x1_0000_0000;
  };

  below(bound) {
    return Math.floor(this.fraction() * bound);
  }

  exponential(mean) {
    return -Math.log(1 - this.fraction()) * mean;
  }

  /** Log-normal with this mean; `sigma` is the spread of its logarithm. */
  logNormal(mean, sigma) {
    return mean * Math.exp(sigma * this.#normal() - (sigma * sigma) / 2);
  }

  /** Marsaglia's polar method; every second one is a gift. */
  #normal() {
    const spare = this.#spare;
    this.#spare = undefined;
    if (spare !== undefined) return spare;
    while (true) {
      const x = 2 * this.fraction() - 1;
      const y = 2 * this.fraction() - 1;
      const square = x * x + y * y;
      if (square >= 1 || square === 0) continue;
      const length = Math.sqrt((-2 * Math.log(square)) / square);
      this.#spare = y * length;
      return x * length;
    }
  }
}
