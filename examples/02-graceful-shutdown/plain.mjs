import { createServer } from "node:http";
import { createAgent } from "mcp-discovery";

const server = createServer((_request, response) => response.end(`hello from ${process.pid}\n`));

const agent = createAgent({ registry: "http://127.0.0.1:8761", service: "orders" });
agent.attach(server); // registers once it listens, shows /health, and on SIGTERM leaves before it closes
agent.on("registered", ({ lease }) => console.log(`registered ${lease.instance.id}`));
agent.on("stopped", ({ tookMs }) => console.log(`left within ${Math.round(tookMs)} ms`));

server.listen(0);
