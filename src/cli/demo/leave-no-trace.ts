import type { Cast } from "./cast.js";
import type { View } from "./view.js";
import type { Witness } from "./witness.js";

/** Ends everybody, and takes whatever they left in a registry that goes on without them out of it. */
export async function leaveNoTrace(cast: Cast, view: View, witness: Witness): Promise<void> {
  await cast.leave();
  if (cast.leases.size === 0) return; // nobody ever registered
  const kept = await witness.forget([...cast.leases.values()]);
  const text =
    kept === 0
      ? `removed ${cast.service} from the registry`
      : `could not remove ${kept} records of ${cast.service}: their ttl ends them`;
  view.event("removed", text, { service: cast.service, kept });
}
