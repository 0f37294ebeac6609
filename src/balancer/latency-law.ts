import type { Endpoint } from "../endpoint/endpoint.js";

/** From how many latencies at most the median is taken: enough to be within a few percent. */
const MEDIAN_OF = 127;

/**
 * The weights of the latency law: own weight ÷ (latency + 1), latency in milliseconds.
 *
 * Guarded, that is multiplied by the success rate to the fourth power, so that nobody attracts calls by failing fast;
 * who was never measured counts as the median of the others, not as the fastest of all; and failures never lower a
 * latency. Unguarded, it is the bare law: failures are answers, and the unknown answer in no time.
 */
export class LatencyLaw {
  readonly #guarded: boolean;
  readonly #known = new Float64Array(MEDIAN_OF);
  /** Valid up to the number of members. Written in place by every `weigh`. */
  weights = new Float64Array(0);

  constructor(guarded: boolean) {
    this.#guarded = guarded;
  }

  weigh(members: readonly Endpoint[]): void {
    if (members.length > this.weights.length) this.weights = new Float64Array(members.length);
    if (this.#guarded) this.#weighGuarded(members);
    else this.#weighBare(members);
  }

  #weighBare(members: readonly Endpoint[]): void {
    for (let index = 0; index < members.length; index++) {
      const { weight, load } = members[index]!;
      this.weights[index] = (weight > 0 ? weight : 1) / (Math.max(load.rawMs, 0) + 1);
    }
  }

  #weighGuarded(members: readonly Endpoint[]): void {
    const unknownMs = this.#medianMs(members);
    for (let index = 0; index < members.length; index++) {
      const { weight, load } = members[index]!;
      const square = load.successRate * load.successRate;
      const latencyMs = load.latencyMs < 0 ? unknownMs : load.latencyMs;
      this.weights[index] = ((weight > 0 ? weight : 1) * square * square) / (latencyMs + 1);
    }
  }

  #medianMs(members: readonly Endpoint[]): number {
    const known = this.#known;
    const stride = Math.max(1, Math.ceil(members.length / MEDIAN_OF));
    let count = 0;
    for (let index = 0; index < members.length; index += stride) {
      const { latencyMs } = members[index]!.load;
      if (latencyMs >= 0) known[count++] = latencyMs;
    }
    if (count === 0) return 0;
    return known.subarray(0, count).sort()[count >> 1]!;
  }
}
