import type { Endpoint } from "../../endpoint/endpoint.js";
import { mix32 } from "../../runtime/random.js";

/**
 * The `size` members this process draws for itself, in the order they came; all of them if there are no more. Each
 * member draws its lot from its own id, so that whoever comes or goes moves at most one place.
 *
 * @see Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998: the highest lots win
 */
export function subsetOf(members: readonly Endpoint[], size: number, seed: number): readonly Endpoint[] {
  if (members.length <= size) return members;
  const lots = new Map(members.map((member) => [member, lotOf(member.instance.id, seed)]));
  const drawn = [...members].sort((a, b) => (lots.get(b) as number) - (lots.get(a) as number)); // stable: ties go by id
  const chosen = new Set(drawn.slice(0, size));
  return members.filter((member) => chosen.has(member));
}

/** FNV-1a over the id's UTF-16 units, finished together with the seed. */
function lotOf(id: string, seed: number): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < id.length; index++) hash = Math.imul(hash ^ id.charCodeAt(index), 0x01000193);
  return mix32(mix32(hash) ^ seed) >>> 0;
}
