import { createServer } from "node:http";
import { createResolver, staticRegistry } from "mcp-discovery";
import { quickest } from "./quickest.mjs";

const servers = [1, 40].map((pauseMs) => createServer((_, response) => setTimeout(() => response.end(), pauseMs)));
for (const server of servers) await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const ports = servers.map((server) => server.address().port);

const registry = staticRegistry(ports.map((port) => ({ service: "orders", host: "127.0.0.1", port })));
const resolver = createResolver({ registry, balancer: quickest });
for (let call = 0; call < 20; call++) await (await resolver.service("orders").fetch("/")).text();

const calls = ports.map(
  (port) => resolver.service("orders").endpoints.find(({ instance }) => instance.port === port).load.calls,
);
console.log(`quick: ${calls[0]}, slow: ${calls[1]}`);

await resolver.close();
for (const server of servers) server.close();
