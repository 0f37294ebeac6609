import { defineInstance } from "../../../dist/index.js";
import { Chance } from "./chance.mjs";
import { Client } from "./client.mjs";
import { Events } from "./events.mjs";
import { USUAL } from "./scenarios.mjs";
import { Server } from "./server.mjs";

/** Plays one scenario with one balancer; the same seed gives the same run. Percentiles count failed calls too. */
export function play(scenario, makeContestant, seed) {
  const setUp = { ...USUAL, ...scenario };
  const events = new Events();
  const chance = (stream) => new Chance(seed, stream);
  const draw = (own) => own.logNormal(setUp.meanMs, setUp.sigma);
  const servers = Array.from(
    { length: setUp.servers },
    (_, place) => new Server({ events, chance: chance(1_000 + place), workers: setUp.workers, draw }),
  );
  const world = { events, servers, timeoutMs: setUp.timeoutMs };
  setUp.stage({ events, servers, chance: chance(1) });

  const instances = servers.map((_, place) =>
    defineInstance({ service: "orders", host: "10.0.0.1", port: 1_000 + place, metadata: { place: String(place) } }),
  );
  const clients = Array.from(
    { length: setUp.clients },
    (_, place) => new Client(world, makeContestant(), { chance: chance(2_000 + place), isEjecting: setUp.isEjecting }),
  );
  const announce = (listed) => {
    for (const client of clients) client.setInstances(listed);
  };
  announce(setUp.joinsAt ? instances.slice(0, -1) : instances);
  if (setUp.joinsAt) events.at(setUp.joinsAt, () => announce(instances));

  const notes = new Notes(setUp);
  const arrivals = chance(2);
  const arrive = () => {
    const place = clients[arrivals.below(clients.length)].call(notes.told);
    notes.picked(place, events.now);
    events.after(arrivals.exponential(1_000 / setUp.perSecond), arrive);
  };
  events.after(arrivals.exponential(1_000 / setUp.perSecond), arrive);
  events.runUntil(setUp.seconds * 1_000);
  return notes.summary();
}

/** What is counted during a run. */
class Notes {
  #latencies = [];
  #failures = 0;
  #joinsAt;
  #newest;
  /** By second since the newcomer joined: all picks, and those of the newcomer. */
  #picks = [];

  constructor({ joinsAt, servers }) {
    this.#joinsAt = joinsAt;
    this.#newest = servers - 1;
  }

  told = (latencyMs, ok) => {
    this.#latencies.push(latencyMs);
    if (!ok) this.#failures++;
  };

  picked(place, now) {
    if (this.#joinsAt === undefined || now < this.#joinsAt) return;
    const second = Math.floor((now - this.#joinsAt) / 1_000);
    this.#picks[second] ??= { all: 0, newest: 0 };
    const picks = this.#picks[second];
    picks.all++;
    if (place === this.#newest) picks.newest++;
  }

  summary() {
    const sorted = Float64Array.from(this.#latencies).sort();
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
    return {
      calls: sorted.length,
      meanMs: sorted.reduce((sum, each) => sum + each, 0) / sorted.length,
      p99: at(0.99),
      p999: at(0.999),
      errors: (100 * this.#failures) / sorted.length,
      ...(this.#joinsAt === undefined ? {} : { halfShareS: this.#halfShareS() }),
    };
  }

  /** When the newcomer first had half of its fair share for three seconds together; if never, the rest of the run. */
  #halfShareS() {
    const fair = 1 / (this.#newest + 1);
    for (let second = 2; second < this.#picks.length; second++) {
      const window = this.#picks.slice(second - 2, second + 1);
      const all = window.reduce((sum, each) => sum + each.all, 0);
      const newest = window.reduce((sum, each) => sum + each.newest, 0);
      if (newest >= (all * fair) / 2) return second - 1;
    }
    return this.#picks.length;
  }
}
