// From sending a registration to the consumer's "changed" event: ms at the median, against a bare stream of lines.
import { setTimeout as pass } from "node:timers/promises";
import { Pool } from "undici";
import { createResolver } from "../../dist/index.js";
import { registration, start } from "./against-server.mjs";

export const unit = "ms from sending a registration to hearing of it, median of 200, 10 ms apart";
export const reference = "bare node:http, lines pushed to a reader that parses them";

export const contestants = {
  [reference]: async () => {
    const server = await start("push");
    const { body } = await new Pool(server.url).request({ path: "/", method: "GET" });
    let heard = () => {};
    body.on("data", (chunk) => {
      const line = String(chunk).trim();
      if (line !== "") JSON.parse(line);
      heard();
    });
    const result = await medianOf(server.url, (listener) => {
      heard = listener;
    });
    server.stop();
    return result;
  },
  'resolver, service.on("changed")': async () => {
    const server = await start("ours");
    const orders = createResolver({ registry: server.url }).service("orders");
    let heard = () => {};
    orders.on("changed", () => heard());
    await pass(300);
    const result = await medianOf(server.url, (listener) => {
      heard = listener;
    });
    server.stop();
    return result;
  },
};

async function medianOf(url, listen) {
  const pool = new Pool(url, { connections: 1 });
  const times = [];
  for (let index = 0; index < 220; index++) {
    const heard = new Promise((resolve) => listen(() => resolve(performance.now())));
    const sent = performance.now();
    const headers = { "content-type": "application/json" };
    const { body } = await pool.request({ path: "/v1/register", method: "POST", headers, body: registration(index) });
    await body.dump();
    times.push((await heard) - sent);
    await pass(10);
  }
  times.splice(0, 20);
  times.sort((a, b) => a - b);
  return { p50: times[100], p99: times[198] };
}
