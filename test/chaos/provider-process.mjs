// A provider: an HTTP server with an agent, until it is killed or told to leave.
// Arguments: registry URL, port (0: any), "blind": wait for a time instead of acknowledgements.
import { createServer } from "node:http";
import { createAgent, http } from "../../dist/index.js";

const [url, port = "0", blind] = process.argv.slice(2);
const server = createServer((request, response) => {
  request.resume();
  request.once("end", () => response.end(agent.instance.id));
});
const agent = createAgent({ registry: blind ? deaf(http({ url })) : url, service: "orders", ttlMs: 6_000 });
agent.once("registered", ({ lease: { instance } }) => process.send({ id: instance.id, port: instance.port }));
agent.once("stopped", () => process.connected && process.disconnect());
process.once("disconnect", () => agent.state !== "stopped" && process.exit());
agent.attach(server);
server.listen(Number(port), "127.0.0.1");

/** The same registry, but it cannot say whether consumers have taken note. */
function deaf(registry) {
  return { ...registry, capabilities: { ...registry.capabilities, acks: false } };
}
