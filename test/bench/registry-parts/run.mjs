// What the figures of every registry begin with: where it is, and which parts of them are asked for.
import { spawnSync } from "node:child_process";

const [command, given, only] = process.argv.slice(1);

/** Where the registry is: the command's first argument, if it has one. */
export function originOr(usual) {
  return given ?? usual;
}

/** Prints the part that the command's second argument names, or all, each in a process of its own: none hears another's. */
export async function run(origin, parts) {
  if (only && !parts[only]) {
    console.error(`No part ${only}; there are ${Object.keys(parts).join(", ")}.`);
    process.exit(2);
  }
  setInterval(() => {}, 1_000); // what we wait for keeps no process alive
  if (only) await parts[only]();
  else for (const part of Object.keys(parts)) inItsOwn(origin, part);
  process.exit();
}

function inItsOwn(origin, part) {
  const { status } = spawnSync(process.execPath, [command, origin, part], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
