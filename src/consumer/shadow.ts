import type { Balancer, PickContext, Picker } from "../balancer/balancer.js";
import type { Endpoint } from "../endpoint/endpoint.js";

/** What a balancer's choices promised at the moment they were made. */
export interface Expectation {
  /** Mean of the latencies measured of the instances it chose; undefined if none was measured. */
  readonly latencyMs: number | undefined;
  /** Mean of the calls they had in flight. */
  readonly inFlight: number;
}

/** How a balancer would have chosen beside the one in use. */
export interface ShadowReport {
  /** The names of the balancers. */
  readonly live: string;
  readonly shadow: string;
  readonly picks: number;
  /** How many of them would have gone elsewhere. */
  readonly differed: number;
  readonly expected: { readonly live: Expectation; readonly shadow: Expectation };
  /** Share of the picks, 0 to 1, by instance. */
  readonly shares: readonly { readonly id: string; readonly live: number; readonly shadow: number }[];
}

/** A balancer that runs dry: it is asked whenever the live one is, and nobody follows it. */
export class Shadow implements Disposable {
  /** @internal Whether a call's key matters to it. */
  readonly usesKey: boolean;
  readonly #name: string;
  readonly #picker: Picker;
  readonly #live: () => string;
  readonly #end: () => void;
  readonly #chosen = new Map<string, { live: number; shadow: number }>();
  readonly #promised = { live: new Tally(), shadow: new Tally() };
  #picks = 0;
  #differed = 0;

  /** @internal Use `service.shadow()`. */
  constructor({ name, usesKey = true }: Balancer, picker: Picker, live: () => string, end: () => void) {
    this.usesKey = usesKey;
    this.#name = name;
    this.#picker = picker;
    this.#live = live;
    this.#end = end;
  }

  /** What was found so far. */
  report(): ShadowReport {
    const picks = this.#picks;
    const shares = [...this.#chosen].map(([id, { live, shadow }]) => ({
      id,
      live: live / picks,
      shadow: shadow / picks,
    }));
    return {
      live: this.#live(),
      shadow: this.#name,
      picks,
      differed: this.#differed,
      expected: { live: this.#promised.live.mean(), shadow: this.#promised.shadow.mean() },
      shares: shares.sort((a, b) => (a.id < b.id ? -1 : 1)),
    };
  }

  /** Ends it and says what was found. Idempotent. */
  stop(): ShadowReport {
    this.#end();
    return this.report();
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  /** @internal */
  update(all: readonly Endpoint[], usable: readonly Endpoint[]): void {
    this.#picker.update(all, usable);
  }

  /** @internal The live balancer chose `live`; what would the other have done? */
  compare(live: Endpoint | undefined, context: PickContext | undefined): void {
    const shadow = this.#picker.pick(context);
    if (!live || !shadow) return;
    this.#picks++;
    if (live !== shadow) this.#differed++;
    this.#of(live).live++;
    this.#of(shadow).shadow++;
    this.#promised.live.add(live);
    this.#promised.shadow.add(shadow);
  }

  #of({ instance: { id } }: Endpoint): { live: number; shadow: number } {
    let counts = this.#chosen.get(id);
    if (!counts) {
      counts = { live: 0, shadow: 0 };
      this.#chosen.set(id, counts);
    }
    return counts;
  }
}

/** Sums what the chosen were expected to do. */
class Tally {
  #picks = 0;
  #inFlight = 0;
  #measured = 0;
  #latencyMs = 0;

  add({ load }: Endpoint): void {
    this.#picks++;
    this.#inFlight += load.inFlight;
    if (load.latencyMs < 0) return;
    this.#measured++;
    this.#latencyMs += load.latencyMs;
  }

  mean(): Expectation {
    return {
      latencyMs: this.#measured === 0 ? undefined : this.#latencyMs / this.#measured,
      inFlight: this.#picks === 0 ? 0 : this.#inFlight / this.#picks,
    };
  }
}
