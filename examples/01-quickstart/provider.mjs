import { createServer } from "node:http";
import { createAgent } from "mcp-discovery";

const server = createServer((_request, response) => response.end(`hello from ${process.pid}\n`));
server.listen(0, "127.0.0.1", async () => {
  const agent = createAgent({
    registry: "http://127.0.0.1:8761",
    service: "orders",
    port: server.address().port,
    metadata: { version: "v1.2" },
  });
  await agent.start(); // registers, then beats; whatever happens to the registry, it stays registered
  console.log(`registered ${agent.instance.id}`);
  process.once("SIGTERM", () => agent.stop().then(() => server.close()));
});
