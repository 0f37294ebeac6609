import type { Endpoint } from "../endpoint/endpoint.js";
import { Xorshift32 } from "../runtime/random.js";
import type { Balancer, PickContext, Picker } from "./balancer.js";
import { EarliestTurn } from "./earliest-turn.js";
import { drawable, untried, wasTried } from "./members.js";
import { smoothOrder } from "./smooth-order.js";

/**
 * One after the other; with weights, each in proportion and as evenly spread as it can be ("smooth").
 *
 * Every client starts somewhere else and goes round in an order of its own, so that many clients together do not march
 * from instance to instance in step. Exact over one round: an instance of weight 3 gets three picks while one of weight
 * 1 gets one. Weight 0 gets none while another has more.
 *
 * @see the smooth weighted round robin of nginx (commit 52327e06), here precomputed as a sequence
 */
export function roundRobin(): Balancer {
  return { name: "round-robin", usesKey: false, create: (seed) => new RoundRobinPicker(seed) };
}

class RoundRobinPicker implements Picker {
  readonly #random: Xorshift32;
  #members: readonly Endpoint[] = [];
  #turns: readonly Endpoint[] = [];
  #earliest: EarliestTurn | undefined = undefined;
  #next = 0;

  constructor(seed: number) {
    this.#random = new Xorshift32(seed);
  }

  update(_all: readonly Endpoint[], usable: readonly Endpoint[]): void {
    const upcoming = this.#turns[this.#next];
    const first = this.#members.length === 0;
    this.#members = kept(this.#members, drawable(usable), this.#random);
    const round = smoothOrder(this.#members);
    this.#earliest = round ? undefined : new EarliestTurn(this.#members, this.#random);
    this.#turns = round ?? [];
    this.#next = first ? this.#random.below(this.#turns.length) : this.#placeOf(upcoming);
  }

  pick(context: PickContext | undefined): Endpoint | undefined {
    const turns = this.#turns;
    const index = this.#next;
    this.#next = index + 1 < turns.length ? index + 1 : 0; // compared, not `%`: a counter that only grows ends as a heap number
    const endpoint = turns[index];
    return context === undefined && endpoint !== undefined ? endpoint : this.#otherwise(endpoint, context);
  }

  /** No short round to go, or a call that may have been somewhere already. */
  #otherwise(turn: Endpoint | undefined, context: PickContext | undefined): Endpoint | undefined {
    const endpoint = this.#earliest === undefined ? turn : this.#earliest.next();
    return wasTried(context, endpoint) ? untried(this.#members, context, this.#random) : endpoint;
  }

  /** The one whose turn it was keeps it; if it left, the turn passes to whoever stands there now. */
  #placeOf(upcoming: Endpoint | undefined): number {
    const place = upcoming ? this.#turns.indexOf(upcoming) : -1;
    if (place >= 0) return place;
    return this.#next < this.#turns.length ? this.#next : 0;
  }
}

/** Those who stay keep their places; newcomers are put in at random. */
function kept(before: readonly Endpoint[], usable: readonly Endpoint[], random: Xorshift32): readonly Endpoint[] {
  const wanted = new Set(usable);
  const members = before.filter((endpoint) => wanted.delete(endpoint));
  const newcomers = [...wanted];
  if (newcomers.length > members.length) return shuffled([...members, ...newcomers], random);
  for (const newcomer of newcomers) members.splice(random.below(members.length + 1), 0, newcomer);
  return members;
}

/** Fisher and Yates. */
function shuffled(endpoints: Endpoint[], random: Xorshift32): readonly Endpoint[] {
  for (let left = endpoints.length - 1; left > 0; left--) {
    const other = random.below(left + 1);
    [endpoints[left], endpoints[other]] = [endpoints[other] as Endpoint, endpoints[left] as Endpoint];
  }
  return endpoints;
}
