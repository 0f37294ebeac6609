// What one would write by hand, and expects a library's balancers to be as quick as.

export class RoundRobin {
  constructor(items) {
    this.items = items;
    this.next = 0;
  }
  pick() {
    const item = this.items[this.next];
    if (++this.next === this.items.length) this.next = 0;
    return item;
  }
}

/** Two choices by latency and requests in flight, without a guard: what the others are measured against. */
export class BareTwoChoices {
  constructor(items) {
    this.items = items;
    this.latency = Float64Array.from(items, (_, index) => 5 + (index % 7));
    this.inFlight = new Int32Array(items.length);
    this.state = 88172645;
  }
  pick() {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    const count = this.items.length;
    const a = Math.floor(((x >>> 0) / 0x1_0000_0000) * count);
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    const b = Math.floor(((x >>> 0) / 0x1_0000_0000) * count);
    const better = this.latency[a] * (this.inFlight[a] + 1) <= this.latency[b] * (this.inFlight[b] + 1) ? a : b;
    return this.items[better];
  }
}
