import { register } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** The library as it was built into `dist`: everything of it is real, down to the HTTP adapter and the server's routes; only the disk is not. */
export async function loadLibrary(dist) {
  register(new URL("disk-hooks.mjs", import.meta.url));
  const load = (path) => import(pathToFileURL(join(dist, path)).href);
  const { createAgent, createResolver, memoryRegistry } = await load("index.js");
  const { createRegistryServer } = await load("server/index.js");
  const { sleepOn } = await load("runtime/clock.js");
  const { httpClient } = await load("runtime/http.js");
  const { httpOver } = await load("adapters/http.js");
  const { toWire } = await load("wire/json.js");
  return { createAgent, createResolver, memoryRegistry, createRegistryServer, sleepOn, httpClient, httpOver, toWire };
}
