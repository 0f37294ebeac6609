/** Events whose immediates are queued together: the event loop looks for I/O once per batch, not once per event. */
const BATCH = 256;

/**
 * Virtual time: a heap of events, by time and then by the order in which they were planned.
 *
 * Every event runs in an immediate of its own. Node empties its queues of microtasks and ticks after each immediate, and
 * the library waits for nothing else (its clock, chance and network are ours), so an event's consequences are complete
 * before the next begins, and their order is that of the code: the same seed gives the same run.
 */
export class Scheduler {
  now = 0;
  /** Events run so far. */
  count = 0;
  /** Called between two events, when everything has settled. */
  settled = () => {};
  #heap = [];
  #order = 0;

  /** Plans `run` in `ms` from now; set `cancelled` on what it returns to take it back. */
  after(ms, run) {
    const event = { time: this.now + Math.max(0, ms), order: this.#order++, run, cancelled: false };
    this.#push(event);
    return event;
  }

  /** Resolves after `ms` of virtual time; for the story of a world, which is told as one long function. */
  sleep(ms) {
    return new Promise((resolve) => void this.after(ms, resolve));
  }

  /** Runs events until `story` is settled. Rejects with what `settled` or an event throws. */
  async drive(story) {
    let over = false;
    const told = story.finally(() => {
      over = true;
    });
    await Promise.race([told, this.#turns(() => over)]);
    return told;
  }

  #turns(isOver) {
    return new Promise((resolve, reject) => {
      let queued = 0;
      const turn = () => {
        queued--;
        if (resolve === undefined) return;
        try {
          this.settled();
          const event = isOver() ? undefined : this.#next();
          if (event) {
            this.now = event.time;
            this.count++;
            event.run();
            if (queued === 0) refill();
            return;
          }
          resolve();
        } catch (error) {
          reject(error);
        }
        resolve = undefined;
      };
      const refill = () => {
        queued = BATCH;
        for (let index = 0; index < BATCH; index++) setImmediate(turn);
      };
      refill();
    });
  }

  #next() {
    let event = this.#pop();
    while (event?.cancelled) event = this.#pop();
    return event;
  }

  #push(event) {
    const heap = this.#heap;
    let index = heap.length;
    while (index > 0) {
      const above = (index - 1) >> 1;
      if (!isBefore(event, heap[above])) break;
      heap[index] = heap[above];
      index = above;
    }
    heap[index] = event;
  }

  #pop() {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (heap.length === 0) return first;
    let index = 0;
    for (let child = 1; child < heap.length; child = 2 * index + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++;
      if (!isBefore(heap[child], last)) break;
      heap[index] = heap[child];
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

function isBefore(a, b) {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}
