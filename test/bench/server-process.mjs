// A registry under load: ours, or as little as could answer the same. Tells its CPU time when asked.
import { createServer } from "node:http";
import { createRegistryServer } from "../../dist/server/index.js";

const kind = process.argv[2];
const KINDS = { ours: () => createRegistryServer({ port: 0, warmingMs: 0 }).listen(), bare, push };
const url = await KINDS[kind]();
process.send({ url });
process.on("message", () => process.send({ cpu: process.cpuUsage() }));
process.once("disconnect", () => process.exit());

/** Parses the same JSON into a Map; lists from a buffer that is ready. */
function bare() {
  const known = new Map();
  const instances = Array.from({ length: 100 }, (_, index) => ({
    id: `orders@10.0.0.${index}:3000`,
    service_name: "orders",
    host: `10.0.0.${index}`,
    port: 3000,
    protocol: "http",
    weight: 1,
    tags: [],
    metadata: { version: "v1.2", env: "prod" },
    status: "healthy",
    ttl: 3600,
    registered_at: 1700000000,
    incarnation: index + 1,
  }));
  const list = Buffer.from(
    JSON.stringify({
      service_name: "orders",
      known: true,
      epoch: "0123456789abcdef",
      revision: 100,
      warming: false,
      instances,
    }),
  );
  const server = createServer((request, response) => {
    if (request.method === "GET") {
      response.writeHead(200, { "content-type": "application/json", "content-length": list.length });
      return response.end(list);
    }
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      const instance = JSON.parse(body);
      const id = `${instance.service_name}@${instance.host}:${instance.port}`;
      known.set(id, instance);
      const answer = JSON.stringify({
        id,
        instance_id: id,
        lease_id: "AAAAAAAAAAAAAAAAAAAAAA",
        ttl: 30,
        heartbeat_interval: 10,
        incarnation: known.size,
        epoch: "0123456789abcdef",
        revision: known.size,
        warming: false,
      });
      response.writeHead(201, { "content-type": "application/json", "content-length": Buffer.byteLength(answer) });
      response.end(answer);
    });
  });
  return listening(server);
}

/** Passes each registration on to the one reader there is, as a line. */
function push() {
  let tell = () => {};
  const server = createServer((request, response) => {
    if (request.method === "GET") {
      response.write("\n");
      tell = (line) => response.write(line);
      return;
    }
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      tell(`${JSON.stringify(JSON.parse(body))}\n`);
      response.end("{}");
    });
  });
  return listening(server);
}

function listening(server) {
  return new Promise((resolve) =>
    server.listen({ port: 0, host: "127.0.0.1", backlog: 8_192 }, () =>
      resolve(`http://127.0.0.1:${server.address().port}`),
    ),
  );
}
