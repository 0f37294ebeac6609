import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { createAgent } from "mcp-discovery";

const app = new Hono();
app.get("/", (context) => context.text(`hello from ${process.pid}\n`));

const agent = createAgent({ registry: "http://127.0.0.1:8761", service: "orders" });
agent.attach(serve({ fetch: app.fetch, port: 0 })); // registers once it listens, and on SIGTERM leaves before it closes
agent.on("registered", ({ lease }) => console.log(`registered ${lease.instance.id}`));
agent.on("stopped", ({ tookMs }) => console.log(`left within ${Math.round(tookMs)} ms`));
