/** Virtual time in milliseconds: a heap of events, by time and then by the order in which they were planned. */
export class Events {
  now = 0;
  #times = new Float64Array(1_024);
  #orders = new Float64Array(1_024);
  #runs = [];
  #planned = 0;

  at(time, run) {
    let place = this.#runs.length;
    this.#runs.push(run);
    if (place === this.#times.length) this.#grow();
    const order = this.#planned++;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (this.#times[parent] <= time) break; // who was planned before goes first
      this.#move(parent, place);
      place = parent;
    }
    this.#put(place, time, order, run);
  }

  after(ms, run) {
    this.at(this.now + ms, run);
  }

  /** Runs everything that falls due up to `end`. */
  runUntil(end) {
    while (this.#runs.length > 0 && this.#times[0] <= end) {
      const run = this.#runs[0];
      this.now = this.#times[0];
      this.#pop();
      run();
    }
    this.now = end;
  }

  #pop() {
    const last = this.#runs.length - 1;
    const [time, order, run] = [this.#times[last], this.#orders[last], this.#runs.pop()];
    if (last === 0) return;
    let place = 0;
    while (true) {
      let child = 2 * place + 1;
      if (child >= last) break;
      if (child + 1 < last && this.#isBefore(child + 1, this.#times[child], this.#orders[child])) child++;
      if (!this.#isBefore(child, time, order)) break;
      this.#move(child, place);
      place = child;
    }
    this.#put(place, time, order, run);
  }

  #isBefore(place, time, order) {
    return this.#times[place] < time || (this.#times[place] === time && this.#orders[place] < order);
  }

  #move(from, to) {
    this.#put(to, this.#times[from], this.#orders[from], this.#runs[from]);
  }

  #put(place, time, order, run) {
    this.#times[place] = time;
    this.#orders[place] = order;
    this.#runs[place] = run;
  }

  #grow() {
    const [times, orders] = [this.#times, this.#orders];
    this.#times = new Float64Array(2 * times.length);
    this.#orders = new Float64Array(2 * times.length);
    this.#times.set(times);
    this.#orders.set(orders);
  }
}
