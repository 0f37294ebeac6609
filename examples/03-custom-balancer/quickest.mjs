/** Whoever answers quickest, as this process has measured it; the unmeasured first. */
export const quickest = { name: "quickest", create: () => new QuickestPicker() };

class QuickestPicker {
  #usable = [];

  update(_all, usable) {
    this.#usable = usable; // called whenever somebody comes, goes or is ejected
  }

  pick(context) {
    let best;
    for (const endpoint of this.#usable) {
      if (context?.tried?.includes(endpoint)) continue; // a retry goes to somebody else
      if (best === undefined || endpoint.load.latencyMs < best.load.latencyMs) best = endpoint;
    }
    return best;
  }
}
