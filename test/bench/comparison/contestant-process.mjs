// One contestant, alone in this process: it measures what it is asked for, and answers.
import { MEASURES } from "./measures.mjs";

const CLIENTS = {
  ours: () => import("./ours.mjs"),
  consul: () => import("./consul.mjs"),
  etcd3: () => import("./etcd3.mjs"),
  "eureka-js-client": () => import("./eureka-js-client.mjs"),
  nacos: () => import("./nacos.mjs"),
  fetch: () => import("./by-hand.mjs"),
};

const [client, registry, url] = process.argv.slice(2);
const { consumer, provider } = await CLIENTS[client]();
const contestant = { consumer: () => consumer(url, registry), provider: () => provider(url, registry) };

setInterval(() => {}, 1_000); // what is waited for keeps no process alive
process.on("message", async ([measure, options]) => {
  try {
    process.send({ result: await MEASURES[measure](contestant, options) });
  } catch (error) {
    process.send({ error: error.stack });
  }
});
process.once("disconnect", () => process.exit());
process.send({ result: "ready" });
