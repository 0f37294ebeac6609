// What a pick costs, by the number of instances: ns, and bytes allocated. Then the same after five other balancers have
// picked at the same place in the code, as after five changes at run time.

import { Endpoint } from "../../dist/endpoint/endpoint.js";
import { SharedLoad } from "../../dist/endpoint/shared-load.js";
import * as library from "../../dist/index.js";
import { systemClock } from "../../dist/runtime/clock.js";
import { BareTwoChoices, RoundRobin } from "./bare-pickers.mjs";
import { installed, PEERS } from "./peers/contestants.mjs";

if (process.argv.includes("--peers") && installed()) process.env.BENCH_PEERS = "1"; // for the contestants' processes

export const unit = "CPU ns a pick, best of 5 × 4 million; bytes a pick in the last column";
export const reference = "a plain round-robin class";
const SIZES = [10, 100, 1_000, 10_000];
const PICKS = 20_000_000;
const ROUNDS = 5;
const KEYS = 512;
const MEASURED_MS = 1_000;

const { adaptive, consistentHash, latencyWeighted, leastRequests, random, roundRobin } = library;
const balancers = {
  "roundRobin()": roundRobin,
  "random()": random,
  "leastRequests()": leastRequests,
  "latencyWeighted()": latencyWeighted,
  "adaptive()": adaptive,
};
const keyed = {
  "consistentHash(), keys of 11": [consistentHash, 11],
  "consistentHash(), keys of 36": [consistentHash, 36],
  'consistentHash({ algorithm: "maglev" }), 11': [() => consistentHash({ algorithm: "maglev" }), 11],
  'consistentHash({ algorithm: "maglev" }), 36': [() => consistentHash({ algorithm: "maglev" }), 36],
  "consistentHash({ boundedLoad: true }), 11": [() => consistentHash({ boundedLoad: true }), 11],
};

export const contestants = {
  "a bare loop": () => measured(async (items) => bareLoop(items)),
  [reference]: () => measured(async (items) => picks(new RoundRobin(items))),
  "a bare two-choices class": () => measured(async (items) => picks(new BareTwoChoices(items))),
  ...Object.fromEntries(
    Object.entries(balancers).map(([name, make]) => [
      name,
      () => measured(async (items) => picks(pickerOf(make(), items))),
    ]),
  ),
  ...Object.fromEntries(
    Object.entries(keyed).map(([name, [make, length]]) => [
      name,
      () => measured(async (items) => keyedPicks(pickerOf(make(), items), length)),
    ]),
  ),
  "adaptive(), with begin, settle, end and two looks at the clock": () =>
    measured(async (items) => reported(adaptive(), items), 10),
  "two choices, the same": () => measured(async (items) => bareReported(items), 10),
  "latencyWeighted(), the same": () => measured(async (items) => reported(latencyWeighted(), items), 10),
  "a plain class, after five others": () => measured(async (items) => afterFive(new RoundRobin(items), items)),
  "two choices, after five others": () => measured(async (items) => afterFive(new BareTwoChoices(items), items)),
  ...Object.fromEntries(
    Object.entries(balancers).map(([name, make]) => [
      `${name}, after five others`,
      () => measured(async (items) => afterFive(pickerOf(make(), items), items)),
    ]),
  ),
  ...Object.fromEntries(
    Object.entries(keyed).map(([name, [make, length]]) => [
      `${name}, after five others`,
      () => measured(async (items) => afterFive(pickerOf(make(), items), items, contextsOf(length))),
    ]),
  ),
  "service.choose()": () =>
    measured(async (items) => {
      const service = library.createResolver({ registry: library.staticRegistry(items) }).service("orders");
      await service.ready();
      return (count) => {
        let none = 0;
        for (let pick = 0; pick < count; pick++) if (service.choose(undefined) === undefined) none++;
        return none;
      };
    }),
  "service.pickNow(), with report and release": () =>
    measured(async (items) => {
      const service = library.createResolver({ registry: library.staticRegistry(items) }).service("orders");
      await service.ready();
      return (count) => {
        let none = 0;
        for (let pick = 0; pick < count / 20; pick++) {
          const selection = service.pickNow();
          if (selection.instance === undefined) none++;
          selection.report("success");
          selection.release();
        }
        return none;
      };
    }, 20),
  "ring of 160 points each: build, join, leave (ms)": () => ring(),
  ...(process.env.BENCH_PEERS ? Object.fromEntries(Object.entries(PEERS).map(peerContestant)) : {}),
};

function peerContestant([name, { make, keys: length = 11, slowness = 1, most = Infinity }]) {
  const contestant = async (items) => {
    const pick = make(items);
    const keys = keysOf(length);
    return (count) => {
      let none = 0;
      for (let at = 0; at < count / slowness; at++) if (pick(keys[at & (KEYS - 1)]) === undefined) none++;
      return none;
    };
  };
  return [
    `${name} (a peer)`,
    () =>
      measured(
        contestant,
        slowness,
        SIZES.filter((size) => size <= most),
      ),
  ];
}

function contextsOf(length) {
  return keysOf(length).map((key) => ({ key, tried: undefined }));
}

function keysOf(length) {
  return Array.from({ length: KEYS }, (_, index) =>
    `user-${index}-`.padEnd(length, "abcdef0123456789").slice(0, length),
  );
}

function bareLoop(items) {
  return (count) => {
    let none = 0;
    for (let pick = 0; pick < count; pick++) if (items[pick % items.length] === undefined) none++;
    return none;
  };
}

function endpointsOf(items) {
  const shared = new SharedLoad(0);
  return items.map((item) => new Endpoint(library.defineInstance(item), 0, { judged: () => {} }, shared));
}

/** A picker over endpoints that have all been measured. */
function pickerOf(balancer, items) {
  const endpoints = endpointsOf(items);
  for (const [index, endpoint] of endpoints.entries()) {
    endpoint.begin(MEASURED_MS);
    endpoint.settle("success", 5 + (index % 7), MEASURED_MS + 0.5);
    endpoint.end();
  }
  const picker = balancer.create(7);
  picker.update(endpoints, endpoints);
  return picker;
}

function picks(picker) {
  return (count) => {
    let none = 0;
    for (let pick = 0; pick < count; pick++) if (picker.pick(undefined) === undefined) none++;
    return none;
  };
}

function keyedPicks(picker, length) {
  const contexts = contextsOf(length);
  return (count) => {
    let none = 0;
    for (let pick = 0; pick < count; pick++) if (picker.pick(contexts[pick & (KEYS - 1)]) === undefined) none++;
    return none;
  };
}

/** A whole call as the client makes it. */
function reported(balancer, items) {
  const picker = pickerOf(balancer, items);
  return (count) => {
    let none = 0;
    for (let pick = 0; pick < count / 10; pick++) {
      const endpoint = picker.pick(undefined);
      const begunAt = systemClock.now() + 10_000;
      endpoint.begin(begunAt);
      const now = systemClock.now() + 10_000;
      endpoint.settle("success", now - begunAt, now);
      endpoint.end();
      if (endpoint === undefined) none++;
    }
    return none;
  };
}

/** The same with the least that two choices need to be told: a smoothed latency and the calls in flight. */
function bareReported(items) {
  const picker = new BareTwoChoices(items.map((item, place) => ({ item, place })));
  const { latency, inFlight } = picker;
  return (count) => {
    for (let pick = 0; pick < count / 10; pick++) {
      const chosen = picker.pick();
      const begunAt = systemClock.now();
      inFlight[chosen.place]++;
      const now = systemClock.now();
      latency[chosen.place] += 0.3 * (now - begunAt - latency[chosen.place]);
      inFlight[chosen.place]--;
    }
  };
}

/** The loop has met five other classes before it meets this one. */
function afterFive(picker, items, contexts = [undefined]) {
  const last = contexts.length - 1;
  const run = (each, count) => {
    let none = 0;
    for (let pick = 0; pick < count; pick++) if (each.pick(contexts[pick & last]) === undefined) none++;
    return none;
  };
  const others = [...Object.values(balancers), () => consistentHash()].map((make) =>
    pickerOf(make(), items.slice(0, 100)),
  );
  process.removeAllListeners("warning"); // consistentHash without a key says so
  for (const other of others) run(other, 1_000_000);
  return (count) => run(picker, count);
}

async function measured(make, scale = 1, sizes = SIZES) {
  const result = {};
  for (const size of sizes) {
    const run = await make(itemsOf(size));
    for (let warm = 0; warm < 3; warm++) run(PICKS / 20);
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < ROUNDS; round++) {
      const begun = process.cpuUsage();
      run(PICKS / ROUNDS);
      const { user, system } = process.cpuUsage(begun);
      best = Math.min(best, user + system);
    }
    result[`n=${size}`] = (best * 1e3 * scale * ROUNDS) / PICKS;
    if (size !== sizes.at(-1)) continue;
    globalThis.gc();
    const before = process.memoryUsage().heapUsed;
    run(1_000_000);
    result.B = Math.max(0, ((process.memoryUsage().heapUsed - before) * scale) / 1_000_000);
    if (result.B < 0.1) result.B = 0; // the measurement's own objects
  }
  return result;
}

/** Best of several, as a process warm from other rings would see it. */
function ring() {
  const result = {};
  for (const size of [100, 1_000, 10_000]) {
    const endpoints = endpointsOf(itemsOf(size + 1));
    const fewer = endpoints.slice(0, size);
    let best = [Infinity, Infinity, Infinity];
    for (let round = 0; round < 8; round++) {
      const picker = consistentHash().create(7);
      const times = [fewer, endpoints, fewer].map((members) => {
        const begun = performance.now();
        picker.update(members, members);
        return performance.now() - begun;
      });
      best = best.map((time, index) => Math.min(time, times[index]));
    }
    for (const [index, what] of ["build", "join", "leave"].entries()) result[`n=${size} ${what}`] = best[index];
  }
  return result;
}

function itemsOf(size) {
  return Array.from({ length: size }, (_, index) => ({
    service: "orders",
    host: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`,
    port: 3_000,
  }));
}
