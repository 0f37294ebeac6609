import Fastify from "fastify";
import { createAgent } from "mcp-discovery";

const app = Fastify();
app.get("/", () => `hello from ${process.pid}\n`);
app.addHook("onClose", () => console.log("hooks ran")); // close the database here

const agent = createAgent({ registry: "http://127.0.0.1:8761", service: "orders" });
agent.attach(app.server, { close: () => app.close() }); // Fastify's own closing, so that its hooks run
agent.on("registered", ({ lease }) => console.log(`registered ${lease.instance.id}`));
agent.on("stopped", ({ tookMs }) => console.log(`left within ${Math.round(tookMs)} ms`));

await app.listen({ port: 0, host: "0.0.0.0" }); // one address: for "localhost" Fastify would open a second server
