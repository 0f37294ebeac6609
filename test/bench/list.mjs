// What a list of 100 instances costs the registry: CPU µs, 32 in flight; and one that did not change.
import { cpuPerRequest, registration, start } from "./against-server.mjs";

export const unit = "server CPU µs a list of 100 instances";
export const reference = "bare node:http, a ready buffer";
const path = "/v1/services/orders/instances";

export const contestants = { [reference]: () => measured("bare"), "createRegistryServer()": () => measured("ours") };

async function measured(kind) {
  const server = await start(kind);
  for (let index = 0; index < 100; index++) {
    const headers = { "content-type": "application/json" };
    await fetch(`${server.url}/v1/register`, { method: "POST", headers, body: registration(index) });
  }
  const { headers } = await fetch(`${server.url}${path}`);
  const changed = await cpuPerRequest(server, 32, 20_000, () => ({ path, method: "GET" }));
  const etag = headers.get("etag");
  const unchanged =
    etag &&
    (await cpuPerRequest(server, 32, 20_000, () => ({ path, method: "GET", headers: { "if-none-match": etag } })));
  server.stop();
  return unchanged ? { changed, unchanged } : { changed };
}
