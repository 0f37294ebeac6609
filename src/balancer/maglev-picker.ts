import type { Endpoint } from "../endpoint/endpoint.js";
import { byId } from "../model/instance.js";
import { mix32 } from "../runtime/random.js";
import type { PickContext, Picker } from "./balancer.js";
import { BoundedLoad, type Bounds } from "./bounded-load.js";
import { Keyless } from "./keyless.js";
import { maglevTable } from "./maglev-table.js";
import { drawable, placeHolders, wasTried } from "./members.js";
import { hashOf } from "./murmur3.js";

const GOLDEN = 0x9e3779b9;
/** How often a hash is mixed anew to find somebody who can; after that, whoever is left is taken. */
const MAX_MIXES = 64;
const HASHES = 2 ** 32;

/** Picks whoever holds the key's place in a Maglev table; if that one cannot, it mixes the hash anew. */
export class MaglevPicker implements Picker {
  readonly #keyless: Keyless;
  readonly #bounds: BoundedLoad;
  #holders: readonly Endpoint[] = [];
  /** What the table was made of. */
  #shape = "";
  #table: Uint32Array = new Uint32Array(0);
  #open = new Uint8Array(0);
  #anybody = false;

  constructor(seed: number, bounds: Bounds | undefined) {
    this.#keyless = new Keyless(seed);
    this.#bounds = new BoundedLoad(bounds);
  }

  update(all: readonly Endpoint[], usable: readonly Endpoint[]): void {
    const members = drawable(usable);
    this.#holders = [...placeHolders(all, members)].sort((a, b) => byId(a.instance, b.instance));
    const shape = this.#holders.map(({ instance: i }) => `${i.metadata["hash_key"] ?? i.id}\n${i.weight}`).join("\n");
    if (shape !== this.#shape) this.#table = maglevTable(this.#holders);
    this.#shape = shape;
    const wanted = new Set(members);
    this.#open = Uint8Array.from(this.#holders, (holder) => (wanted.has(holder) ? 1 : 0));
    this.#anybody = members.length > 0;
    this.#keyless.update(members);
    this.#bounds.update(members);
  }

  pick(context: PickContext | undefined): Endpoint | undefined {
    if (context === undefined || context.key === undefined || context.key === null) return this.#keyless.pick(context);
    let hash = hashOf(context.key) | 0;
    if (!this.#anybody) return undefined;
    let full: Endpoint | undefined;
    for (let mix = 0; mix < MAX_MIXES; mix++) {
      const holder = this.#table[((hash >>> 0) * (this.#table.length / HASHES)) >>> 0]!;
      const endpoint = this.#holders[holder]!;
      if (this.#open[holder] === 1 && !wasTried(context, endpoint)) {
        if (this.#bounds.hasRoom(endpoint)) return endpoint;
        full ??= endpoint;
      }
      hash = mix32((hash + GOLDEN) | 0);
    }
    return full ?? this.#keyless.untried(context);
  }
}
