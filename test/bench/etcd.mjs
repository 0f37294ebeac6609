// Figures with a real etcd: node test/bench/etcd.mjs [http://127.0.0.1:2379] [notify|throughput|cluster|steady|killed]
// Start one with: bash test/registries/etcd.sh start --port 2379
import { Pool } from "undici";
import { base64, post } from "./etcd/gateway.mjs";
import { cluster, throughput } from "./etcd/servers.mjs";
import { killed } from "./registry-parts/killed.mjs";
import { changed, notify } from "./registry-parts/notify.mjs";
import { originOr, run } from "./registry-parts/run.mjs";
import { steady } from "./registry-parts/steady.mjs";

const origin = originOr("http://127.0.0.1:2379");
const registry = origin.replace("http:", "etcd:");
const pool = new Pool(origin);

await run(origin, {
  notify: async () => {
    const put = await puts();
    const raw = { listen: watch, change: (round) => put(2 * round) };
    const ours = { listen: changed(registry, "notified"), change: (round) => put(2 * round + 1) };
    await notify({ raw, ours }, { apartMs: 30 });
  },
  throughput: () => throughput(origin),
  cluster: () => cluster(origin),
  steady: () => steady(registry, ({ path }) => path),
  killed: () => killed(registry, { "gone from etcd": (status) => status === undefined }),
});

/** A bare watch, its lines parsed; what is no event is no news. */
async function watch(heard) {
  const [key, range_end] = ["notified/", "notified0"].map((end) => base64(`/mcp-discovery/services/${end}`));
  const create_request = { key, range_end };
  const { body } = await pool.request({ method: "POST", path: "/v3/watch", body: JSON.stringify({ create_request }) });
  body.on("data", (chunk) => {
    for (const line of String(chunk).split("\n")) if (line !== "" && JSON.parse(line).result.events) heard();
  });
}

/** Puts of one instance, each with another weight; both sides hear of all. */
async function puts() {
  const { ID: lease } = await post(pool, "/v3/lease/grant", { TTL: "600" });
  const key = base64("/mcp-discovery/services/notified/instances/n1/1");
  const instance = { id: "n1", service_name: "notified", host: "127.0.0.1", port: 1, status: "healthy" };
  return (index) => {
    const value = base64(JSON.stringify({ ...instance, weight: 1 + (index % 900) }));
    return post(pool, "/v3/kv/put", { key, value, lease });
  };
}
