// What a registration costs the registry: CPU µs, 100 in flight; and with 100,000 instances already there.
import { cpuPerRequest, registration, start } from "./against-server.mjs";

export const unit = "server CPU µs a registration";
export const reference = "bare node:http, JSON into a Map";
const post = (index) => ({
  path: "/v1/register",
  method: "POST",
  headers: { "content-type": "application/json" },
  body: registration(index),
});

export const contestants = { [reference]: () => measured("bare"), "createRegistryServer()": () => measured("ours") };

async function measured(kind) {
  const server = await start(kind);
  const first = await cpuPerRequest(server, 100, 20_000, post);
  const again = await cpuPerRequest(server, 100, 20_000, post);
  server.stop();
  return { "new instances": first, "the same again": again };
}
