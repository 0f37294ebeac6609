// From sending a registration to the consumer's "changed" event: ms at the median, against a bare stream of lines.
import { createServer } from "node:http";
import { setTimeout as pass } from "node:timers/promises";
import { Pool } from "undici";
import { createResolver } from "../../dist/index.js";
import { registration, start } from "./against-server.mjs";

export const unit = "ms from sending a registration to hearing of it, median of 200, 10 ms apart";
export const reference = "bare node:http, lines pushed to a reader";

export const contestants = {
  [reference]: async () => {
    let push = () => {};
    const server = createServer((request, response) => {
      if (request.method === "GET") {
        response.write("\n");
        push = (line) => response.write(line);
        return;
      }
      let body = "";
      request.on("data", (chunk) => {
        body += chunk;
      });
      request.on("end", () => {
        push(`${JSON.stringify(JSON.parse(body))}\n`);
        response.end("{}");
      });
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${server.address().port}`;
    const { body } = await new Pool(url).request({ path: "/", method: "GET" });
    let heard = () => {};
    body.on("data", () => heard());
    return medianOf(url, (listener) => {
      heard = listener;
    });
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
