/**
 * One instance: some workers and a queue in the order of arrival. How long a request takes is drawn when a worker takes
 * it up. Who waits and is no longer waited for is dropped; who was taken up is worked on to the end.
 */
export class Server {
  /** "ok", "failing" (at once, with an error) or "hanging" (never answers). */
  mode = "ok";
  /** How many times slower than usual it is. */
  slowness = 1;
  /** Share of answers that are errors. */
  failureShare = 0;
  /** A cold one is slower at first: by how much, and how many requests it takes to warm up. */
  cold = { slowness: 1, requests: 0 };
  /** Requests taken up so far. */
  served = 0;
  #events;
  #chance;
  #draw;
  #workers;
  #busy = 0;
  #queue = [];
  #head = 0;
  #utilization = 0;
  #window = { since: 0, at: 0, busyMs: 0 };

  constructor({ events, chance, workers, draw }) {
    this.#events = events;
    this.#chance = chance;
    this.#workers = workers;
    this.#draw = draw;
  }

  /** What it would report of itself: the share of its workers' time that was taken in the last 100 ms or longer. */
  utilization() {
    const { now } = this.#events;
    this.#account(0);
    if (now - this.#window.since >= WINDOW_MS) {
      this.#utilization = this.#window.busyMs / ((now - this.#window.since) * this.#workers);
      this.#window.since = now;
      this.#window.busyMs = 0;
    }
    return this.#utilization;
  }

  /** `request.answered(ok)` is called when it is done, whether or not `request.over` says that nobody waits. */
  receive(request) {
    if (this.mode === "hanging") return;
    if (this.mode === "failing") return this.#events.after(FAST_MS, () => request.answered(false));
    if (this.#busy < this.#workers) this.#work(request);
    else this.#queue.push(request);
  }

  #account(more) {
    const { now } = this.#events;
    this.#window.busyMs += this.#busy * (now - this.#window.at);
    this.#window.at = now;
    this.#busy += more;
  }

  #work(request) {
    this.#account(1);
    const failed = this.failureShare > 0 && this.#chance.fraction() < this.failureShare;
    this.#events.after(this.#draw(this.#chance) * this.slowness * this.#coldness(), () => {
      this.#account(-1);
      request.answered(!failed);
      const next = this.#nextWaiting();
      if (next) this.#work(next);
    });
  }

  #coldness() {
    const { slowness, requests } = this.cold;
    const done = this.served++;
    return done < requests ? slowness - ((slowness - 1) * done) / requests : 1;
  }

  #nextWaiting() {
    while (this.#head < this.#queue.length) {
      const request = this.#queue[this.#head];
      this.#queue[this.#head++] = undefined;
      if (this.#head === this.#queue.length || this.#head > 4_096) {
        this.#queue = this.#queue.slice(this.#head);
        this.#head = 0;
      }
      if (!request.over) return request;
    }
    return undefined;
  }
}

/** An error at once, in milliseconds: a proxy with nobody behind it, a full disk. */
const FAST_MS = 1;
/** Over how long a server looks back at itself, in milliseconds. */
const WINDOW_MS = 100;
