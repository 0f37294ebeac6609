import type { Endpoint } from "../endpoint/endpoint.js";
import type { PickContext, Picker } from "./balancer.js";
import { BoundedLoad, type Bounds } from "./bounded-load.js";
import { HashRing } from "./hash-ring.js";
import { Keyless } from "./keyless.js";
import { drawable, placeHolders, wasTried } from "./members.js";
import { hashOf } from "./murmur3.js";

/** After so many points without a fitting owner, whoever is left is taken: hardly ever more than a few are needed. */
const MAX_STEPS = 4_096;

/** Picks the owner of the first point at or after the key's hash; if that one cannot, the owner of the next. */
export class RingPicker implements Picker {
  readonly #ring = new HashRing();
  readonly #keyless: Keyless;
  readonly #bounds: BoundedLoad;
  /** By slot: 1 if it may be picked now. */
  #open = new Uint8Array(0);
  #anybody = false;

  constructor(seed: number, bounds: Bounds | undefined) {
    this.#keyless = new Keyless(seed);
    this.#bounds = new BoundedLoad(bounds);
  }

  update(all: readonly Endpoint[], usable: readonly Endpoint[]): void {
    const members = drawable(usable);
    const ring = this.#ring;
    ring.update(placeHolders(all, members));
    this.#open = new Uint8Array(ring.slots.length);
    for (const member of members) {
      const slot = ring.slotOf(member);
      if (slot !== undefined) this.#open[slot] = 1;
    }
    this.#anybody = members.length > 0;
    this.#keyless.update(members);
    this.#bounds.update(members);
  }

  pick(context: PickContext | undefined): Endpoint | undefined {
    if (context === undefined || context.key === undefined || context.key === null) return this.#keyless.pick(context);
    const hash = hashOf(context.key);
    if (!this.#anybody) return undefined;
    const ring = this.#ring;
    const index = ring.find(hash);
    const slot = ring.ownerAt(index);
    const endpoint = ring.slots[slot]!;
    if (this.#open[slot] === 1 && !wasTried(context, endpoint) && this.#bounds.hasRoom(endpoint)) return endpoint;
    return this.#successor(index, context);
  }

  #successor(from: number, context: PickContext): Endpoint | undefined {
    const ring = this.#ring;
    let full: Endpoint | undefined;
    for (let step = 0, index = from; step < MAX_STEPS && step < ring.size; step++) {
      const slot = ring.ownerAt(index);
      const endpoint = ring.slots[slot]!;
      if (this.#open[slot] === 1 && !wasTried(context, endpoint)) {
        if (this.#bounds.hasRoom(endpoint)) return endpoint;
        full ??= endpoint;
      }
      index = index + 1 < ring.size ? index + 1 : 0;
    }
    return full ?? this.#keyless.untried(context);
  }
}
