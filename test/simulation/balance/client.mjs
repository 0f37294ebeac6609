import { Rotation } from "../../../dist/consumer/rotation.js";
import { ANYWHERE } from "../../../dist/consumer/routing.js";
import { EJECTION } from "../../../dist/endpoint/ejection.js";

/** Nobody is ever ejected: a balancer is then judged by itself. */
const NO_EJECTION = { ...EJECTION, consecutiveFailures: Number.POSITIVE_INFINITY, minSuccessRate: 0 };

/** One process that calls: the library's rotation, endpoints and picker, on a clock and with chances of our own. */
export class Client {
  #rotation;
  #world;
  #contestant;
  #waiting = [];
  #watched = false;

  constructor(world, contestant, { chance, isEjecting }) {
    const { events } = world;
    this.#world = world;
    this.#contestant = contestant;
    this.#rotation = new Rotation({
      balancer: contestant.balancer,
      routing: ANYWHERE,
      ejection: isEjecting ? EJECTION : NO_EJECTION,
      clock: clockOf(events),
      random: chance.fraction,
      events: { ejected() {}, readmitted() {}, panic() {}, left() {} },
    });
  }

  setInstances(instances) {
    this.#rotation.setInstances(instances, new Map());
  }

  /** Makes a call; `told(place, latencyMs, ok)` hears how it ended. */
  call(told) {
    const { events, servers, timeoutMs } = this.#world;
    const endpoint = this.#rotation.choose(undefined);
    const request = { over: false, begunAt: events.now, answered: undefined };
    const { place } = endpoint.instance.metadata;
    request.answered = (ok) => {
      if (request.over) return;
      request.over = true;
      const latencyMs = events.now - request.begunAt;
      if (endpoint.isAsked && ok) endpoint.report(servers[place].utilization(), events.now);
      endpoint.settle(ok ? "success" : "failure", latencyMs, events.now);
      endpoint.end();
      this.#contestant.settled?.(endpoint, latencyMs, events.now);
      told(latencyMs, ok);
    };
    endpoint.begin(events.now);
    this.#contestant.begun?.(endpoint, events.now);
    this.#waiting.push(request);
    if (!this.#watched) this.#watch(timeoutMs);
    servers[place].receive(request);
    return Number(place);
  }

  /** Deadlines fall due in the order of the calls: one event for the oldest that is still waited for. */
  #watch(timeoutMs) {
    const { events } = this.#world;
    let head = 0;
    while (head < this.#waiting.length) {
      const request = this.#waiting[head];
      if (!request.over && request.begunAt + timeoutMs > events.now) break;
      request.answered(false);
      head++;
    }
    this.#waiting.splice(0, head);
    const oldest = this.#waiting[0];
    this.#watched = oldest !== undefined;
    if (oldest) events.at(oldest.begunAt + timeoutMs, () => this.#watch(timeoutMs));
  }
}

function clockOf(events) {
  return {
    now: () => events.now,
    wall: () => events.now,
    stalledAt: Number.NEGATIVE_INFINITY,
    schedule(ms, run) {
      let cancelled = false;
      events.after(ms, () => cancelled || run());
      return () => {
        cancelled = true;
      };
    },
  };
}
