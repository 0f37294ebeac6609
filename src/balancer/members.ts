import type { Endpoint } from "../endpoint/endpoint.js";
import type { Xorshift32 } from "../runtime/random.js";
import type { PickContext } from "./balancer.js";

/** A call whose pick was tried before asks this often again before it looks for anybody left. */
export const DRAWS = 8;

/** Who takes part: whoever has weight, or everybody if nobody has any. The others are being drained. */
export function drawable(usable: readonly Endpoint[]): readonly Endpoint[] {
  const weighty = usable.filter(({ weight }) => weight > 0);
  return weighty.length === 0 || weighty.length === usable.length ? usable : weighty;
}

/**
 * Who has places where a key is looked up. Who is not usable keeps them, so that ejecting costs nothing; only when most
 * are not usable the places go to the usable alone: that leads to the same owners.
 */
export function placeHolders(all: readonly Endpoint[], members: readonly Endpoint[]): readonly Endpoint[] {
  const weighty = all.filter(({ instance }) => instance.weight > 0);
  const areMost = members[0] !== undefined && members[0].instance.weight > 0 && members.length * 2 >= weighty.length;
  return areMost ? weighty : members;
}

/** Whether all have the same weight. */
export function even(members: readonly Endpoint[]): boolean {
  const first = members[0]?.weight;
  return members.every(({ weight }) => weight === first);
}

/** By index, where each member's numbers are in the arrays of `SharedLoad`. */
export function placesOf(members: readonly Endpoint[]): Uint32Array {
  return Uint32Array.from(members, ({ load }) => load.place);
}

/** By index, how much a request in flight counts at each member: less where the weight is more, 1 on average. */
export function burdensOf(members: readonly Endpoint[]): Float64Array {
  const total = members.reduce((sum, { weight }) => sum + weight, 0);
  return Float64Array.from(members, ({ weight }) => (weight > 0 ? total / members.length / weight : 1));
}

/** Whether this call has tried the endpoint before. */
export function wasTried(context: PickContext | undefined, endpoint: Endpoint | undefined): boolean {
  if (context === undefined || endpoint === undefined) return false;
  return context.tried?.includes(endpoint) ?? false;
}

/** Anybody this call has not tried yet, looked for from a random place on. */
export function untried(
  members: readonly Endpoint[],
  context: PickContext | undefined,
  random: Xorshift32,
): Endpoint | undefined {
  const start = random.below(members.length);
  for (let step = 0; step < members.length; step++) {
    const endpoint = members[(start + step) % members.length];
    if (!wasTried(context, endpoint)) return endpoint;
  }
  return undefined;
}
