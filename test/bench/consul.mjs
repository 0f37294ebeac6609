// Figures with a real Consul: node test/bench/consul.mjs [http://127.0.0.1:8500] [notify|steady|killed]
// Start one with: bash test/registries/consul.sh start --port 8500
import { Pool } from "undici";
import { killed } from "./registry-parts/killed.mjs";
import { changed, notify } from "./registry-parts/notify.mjs";
import { originOr, run } from "./registry-parts/run.mjs";
import { steady } from "./registry-parts/steady.mjs";

const origin = originOr("http://127.0.0.1:8500");
const registry = origin.replace("http:", "consul:");
const pool = new Pool(origin);

await run(origin, {
  notify: () => {
    const raw = { listen: (heard) => void queries("notified-raw", heard), change: registers("notified-raw") };
    const ours = { listen: changed(registry, "notified"), change: registers("notified") };
    return notify({ raw, ours }, { apartMs: 300 });
  },
  steady: () => steady(registry, kindOf),
  killed: () => killed(registry, { "failed in Consul": (status) => status === "failed" }),
});

/** Bare blocking queries, one after the other; the first answer is no news. */
async function queries(name, heard) {
  for (let index = "0"; ; ) {
    const path = `/v1/health/service/${name}?index=${index}&wait=30s`;
    const { headers, body } = await pool.request({ method: "GET", path });
    await body.json();
    if (index !== "0") heard();
    index = headers["x-consul-index"];
  }
}

function registers(name) {
  return async (round) => {
    const body = JSON.stringify({ ID: name, Name: name, Address: "127.0.0.1", Port: 1_000 + round });
    const answer = await pool.request({ method: "PUT", path: "/v1/agent/service/register", body });
    await answer.body.dump();
  };
}

function kindOf({ path }) {
  return path.includes("index=") ? "blocking query" : path.split("/").slice(2, 4).join("/");
}
