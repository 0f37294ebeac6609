// A registry, with the real server on the real memory, that serves its providers well and deceives its readers when told.
// Messages: `{ lie }`, one of `LIES` in ../simulation/lies.mjs, or null for the truth again; each cuts every connection,
// so that watches begin anew, and is answered with `{ lying }`.
import { createServer } from "node:http";
import { memoryRegistry } from "../../dist/index.js";
import { createRegistryServer } from "../../dist/server/index.js";
import { toWire } from "../../dist/wire/json.js";
import { lied } from "../simulation/lies.mjs";

const memory = memoryRegistry({ warmingMs: 0 });
const { signal } = new AbortController();
const real = createRegistryServer({ registry: memory });
let lie = null;
const server = createServer(async (request, response) => {
  if (lie === null || !lied(lie, await truth(), request, response)) real.handle(request, response);
});
process.on("message", (message) => {
  lie = message.lie;
  server.closeAllConnections();
  process.send({ lying: lie });
});
process.once("disconnect", () => process.exit());
server.listen(0, "127.0.0.1", () => process.send({ url: `http://127.0.0.1:${server.address().port}` }));

/** What it could tell, had it not been told to lie; of the one service of the play. */
async function truth() {
  const { instances = [] } = await memory.list("orders", { signal });
  const { epoch, revision } = memory;
  return { epoch, revision, view: () => instances.map(toWire) };
}
