// A provider: an HTTP server with an agent, until it is killed or told to leave.
// Argument: its role as JSON, see `Role` in stage.ts, and the `url` of the registry.
import { createServer } from "node:http";
import { createAgent, http } from "../../dist/index.js";

const role = JSON.parse(process.argv[2]);
const { url, port = 0, host = "127.0.0.1", ttlMs = 6_000, answerMs = 0, isBlind = false, isChecked = false } = role;
let isHealthy = true;
const server = createServer((request, response) => {
  request.resume();
  if (isChecked && request.url === "/health") return response.writeHead(isHealthy ? 200 : 500).end();
  request.once("end", () => {
    if (answerMs === 0) response.end(agent.instance.id);
    else setTimeout(() => response.end(agent.instance.id), answerMs);
  });
});
const agent = createAgent({
  registry: isBlind ? deaf(http({ url })) : url,
  service: "orders",
  ttlMs,
  ...(isChecked ? { health: { intervalMs: 1_000, timeoutMs: 1_000, failures: 3 } } : {}),
});
agent.once("registered", ({ lease: { instance } }) => process.send({ id: instance.id, port: instance.port }));
agent.on("unlisted", () => process.connected && process.send({ unlisted: true }));
agent.once("stopped", () => process.connected && process.disconnect());
process.on("message", (message) => {
  isHealthy = message.isHealthy;
});
process.once("disconnect", () => agent.state !== "stopped" && process.exit());
agent.attach(server, isChecked ? { health: false } : {});
server.listen(port, host);

/** The same registry, but it cannot say whether consumers have taken note. */
function deaf(registry) {
  return { ...registry, capabilities: { ...registry.capabilities, acks: false } };
}
