// A provider whose event loop is busy nine tenths of the time. Tells its parent what befell its lease.
import { createAgent } from "../../dist/index.js";

const [registry] = process.argv.slice(2);
const agent = createAgent({ registry, service: "orders", port: 3_000, host: "127.0.0.1", ttlMs: 3_000 });
for (const event of ["registered", "beatMissed", "lost"]) agent.on(event, () => process.send?.(event));
await agent.start();

setInterval(() => {
  const until = performance.now() + 180;
  while (performance.now() < until);
}, 200);
process.once("disconnect", () => process.exit());
