import type { Endpoint } from "../endpoint/endpoint.js";

/** How far an instance may be above its fair share. */
export interface Bounds {
  readonly factor: number;
  readonly floor: number;
}

/** Tells who of a service has room: fewer in flight than max(floor, ⌈factor × (all in flight + 1) × share⌉). */
export class BoundedLoad {
  readonly #bounds: Bounds | undefined;
  #perWeight = 0.5;

  /** @param bounds undefined: everybody has room, always */
  constructor(bounds: Bounds | undefined) {
    this.#bounds = bounds;
  }

  update(members: readonly Endpoint[]): void {
    const total = members.reduce((sum, { weight }) => sum + (weight > 0 ? weight : 1), 0);
    this.#perWeight = (this.#bounds?.factor ?? 1) / Math.max(total, Number.MIN_VALUE);
  }

  hasRoom({ load, weight }: Endpoint): boolean {
    const bounds = this.#bounds;
    if (bounds === undefined || load.inFlight < bounds.floor) return true;
    return load.inFlight < this.#perWeight * (weight > 0 ? weight : 1) * (load.shared.inFlight + 1); // whole numbers: no ⌈⌉ needed
  }
}
