// Four workers behind one port, each with an agent of its own. The primary tells its parent what they say.
import cluster from "node:cluster";
import { createServer } from "node:http";
import { createAgent } from "../../dist/index.js";

const [registry] = process.argv.slice(2);

if (cluster.isPrimary) {
  for (let count = 0; count < 4; count++) cluster.fork();
  cluster.on("message", (worker, message) => process.send?.({ pid: worker.process.pid, ...message }));
  cluster.on("exit", (worker, code, signal) => process.send?.({ pid: worker.process.pid, exit: signal ?? code }));
  process.once("disconnect", () => process.exit()); // the test is over: nobody is left behind
} else {
  const server = createServer((_request, response) => response.end(String(process.pid)));
  const agent = createAgent({ registry, service: "orders", host: "127.0.0.1", ttlMs: 3_000 });
  agent.attach(server);
  agent.once("registered", ({ lease }) => process.send?.({ id: lease.instance.id }));
  server.listen(0, "127.0.0.1");
}
