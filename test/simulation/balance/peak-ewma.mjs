import { Chance } from "./chance.mjs";

const DECAY_MS = 10_000;
/** What somebody is taken for who has calls in flight and never answered. */
const PENALTY = 2 ** 47;

/**
 * Two choices by a latency that jumps to peaks and decays with time, times calls in flight + 1: written out from the
 * description of Finagle's balancer, as a reference. Failures are answers to it.
 */
export function peakEwma() {
  const nodes = new Map();
  const nodeOf = (endpoint) => {
    const node = nodes.get(endpoint) ?? { latencyMs: 0, at: 0, pending: 0 };
    nodes.set(endpoint, node);
    return node;
  };
  let now = 0;
  const observe = (node, latencyMs) => {
    const kept = Math.exp(-(now - node.at) / DECAY_MS);
    node.latencyMs = latencyMs > node.latencyMs ? latencyMs : node.latencyMs * kept + latencyMs * (1 - kept);
    node.at = now;
  };
  const loadOf = (endpoint) => {
    const node = nodeOf(endpoint);
    observe(node, 0);
    if (node.latencyMs === 0 && node.pending > 0) return PENALTY + node.pending;
    return node.latencyMs * (node.pending + 1);
  };
  return {
    balancer: { name: "peak-ewma", usesKey: false, create: (seed) => new TwoChoices(seed, loadOf) },
    begun(endpoint, at) {
      now = at;
      nodeOf(endpoint).pending++;
    },
    settled(endpoint, latencyMs, at) {
      now = at;
      const node = nodeOf(endpoint);
      node.pending--;
      observe(node, latencyMs);
    },
  };
}

class TwoChoices {
  #chance;
  #loadOf;
  #members = [];

  constructor(seed, loadOf) {
    this.#chance = new Chance(seed);
    this.#loadOf = loadOf;
  }

  update(_all, usable) {
    this.#members = usable;
  }

  pick() {
    const count = this.#members.length;
    const first = this.#chance.below(count);
    if (count < 2) return this.#members[first];
    const other = this.#chance.below(count - 1);
    const second = other < first ? other : other + 1;
    const [a, b] = [this.#members[first], this.#members[second]];
    return this.#loadOf(b) < this.#loadOf(a) ? b : a;
  }
}
