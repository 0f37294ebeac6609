import type { PickContext, Picker } from "../balancer/balancer.js";
import type { Endpoint } from "../endpoint/endpoint.js";

/** So often the balancer is asked for somebody below the limit; after that everybody is looked at in turn. */
const ASKED = 3;

/** Whether somebody could be picked, were not everybody at the limit of calls in flight. */
export function isFull(usable: readonly Endpoint[], limit: number): boolean {
  const called = calledOf(usable);
  return called.length > 0 && called.every(({ load }) => load.inFlight >= limit);
}

/** Somebody below the limit, where the balancer's `first` choice is at it; undefined if all are. */
export function belowLimit(
  first: Endpoint,
  context: PickContext | undefined,
  picker: Picker,
  usable: readonly Endpoint[],
  limit: number,
): Endpoint | undefined {
  const tried = [...(context?.tried ?? []), first];
  for (let asked = 1; asked < ASKED; asked++) {
    const next = picker.pick({ key: context?.key, tried });
    if (next === undefined || next.load.inFlight < limit) return next;
    tried.push(next);
  }
  return calledOf(usable).find((one) => one.load.inFlight < limit && !tried.includes(one));
}

/** Those a balancer would call: the weightless only where all are. */
function calledOf(usable: readonly Endpoint[]): readonly Endpoint[] {
  const weighty = usable.filter(({ weight }) => weight > 0);
  return weighty.length > 0 ? weighty : usable;
}
