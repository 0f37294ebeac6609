// What a pick costs, by the number of instances: ns, and bytes allocated.
import { createResolver, staticRegistry } from "../../dist/index.js";

export const unit = "ns a pick; bytes a pick in the last column";
export const reference = "a plain round-robin class";
const SIZES = [10, 100, 1_000, 10_000];
const PICKS = 20_000_000;

class RoundRobin {
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

export const contestants = {
  "a bare loop": () => measured(async (items) => bareLoop(items)),
  [reference]: () =>
    measured(async (items) => {
      const picker = new RoundRobin(items);
      return (picks) => {
        let none = 0;
        for (let pick = 0; pick < picks; pick++) if (picker.pick() === undefined) none++;
        return none;
      };
    }),
  "service.choose()": () =>
    measured(async (items) => {
      const service = createResolver({ registry: staticRegistry(items) }).service("orders");
      await service.ready();
      return (picks) => {
        let none = 0;
        for (let pick = 0; pick < picks; pick++) if (service.choose(undefined) === undefined) none++;
        return none;
      };
    }),
  "service.pickNow(), with report and release": () =>
    measured(async (items) => {
      const service = createResolver({ registry: staticRegistry(items) }).service("orders");
      await service.ready();
      return (picks) => {
        let none = 0;
        for (let pick = 0; pick < picks / 20; pick++) {
          const selection = service.pickNow();
          if (selection.instance === undefined) none++;
          selection.report("success");
          selection.release();
        }
        return none;
      };
    }, 20),
};

function bareLoop(items) {
  return (picks) => {
    let none = 0;
    for (let pick = 0; pick < picks; pick++) if (items[pick % items.length] === undefined) none++;
    return none;
  };
}

async function measured(make, scale = 1) {
  const result = {};
  for (const size of SIZES) {
    const items = Array.from({ length: size }, (_, index) => ({
      service: "orders",
      host: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`,
      port: 3_000,
    }));
    const run = await make(items);
    for (let warm = 0; warm < 3; warm++) run(PICKS / 20);
    const begun = performance.now();
    run(PICKS);
    result[`n=${size}`] = ((performance.now() - begun) * 1e6 * scale) / PICKS;
    if (size !== SIZES.at(-1)) continue;
    globalThis.gc();
    const before = process.memoryUsage().heapUsed;
    run(1_000_000);
    result.B = Math.max(0, ((process.memoryUsage().heapUsed - before) * scale) / 1_000_000);
    if (result.B < 0.1) result.B = 0; // the measurement's own objects
  }
  return result;
}
