// Bytes allocated per pick by the balancer named in the arguments; in a process of its own, where nothing else was compiled.
const { createResolver, staticRegistry, ...library } = await import("../../dist/index.js");

const PICKS = 100_000;
const ROUNDS = 40;
const [factory, options] = process.argv.slice(2);
const balancer = library[factory](...(options ? [JSON.parse(options)] : []));
const instances = Array.from({ length: 50 }, (_, index) => ({
  service: "orders",
  host: "127.0.0.1",
  port: 10_000 + index,
  weight: 1 + (index % 3),
}));
const contexts = Array.from({ length: 64 }, (_, index) => ({ key: `user-${index}`, tried: undefined }));
const service = createResolver({ registry: staticRegistry(instances), balancer }).service("orders");
await service.ready();
let least = Number.POSITIVE_INFINITY;
for (let round = 0; round < ROUNDS; round++) {
  globalThis.gc();
  const before = process.memoryUsage().heapUsed;
  run();
  least = Math.min(least, (process.memoryUsage().heapUsed - before) / PICKS); // the first rounds are not compiled yet
}
console.log(least);

function run() {
  for (let pick = 0; pick < PICKS; pick++)
    if (service.choose(contexts[pick % contexts.length]) === undefined) throw new Error("nobody");
}
