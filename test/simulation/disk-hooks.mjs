/** Which files of the library are written to the simulated disk. */
const WRITERS = /\/(registry\/snapshot-file|runtime\/durable-file)\.js$/;
const FS = new Set(["node:fs", "node:fs/promises"]);
const DISK = new URL("disk.mjs", import.meta.url).href;

/** Puts the simulated disk in the place of node's own, for those files. */
export function resolve(specifier, context, next) {
  const isOurs = FS.has(specifier) && WRITERS.test(context.parentURL ?? "");
  return isOurs ? { url: DISK, format: "module", shortCircuit: true } : next(specifier, context);
}
