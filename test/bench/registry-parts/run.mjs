// What the figures of every registry begin with: where it is, and which parts of them are asked for.
const [origin, only] = process.argv.slice(2);

/** Where the registry is: the command's first argument, if it has one. */
export function originOr(usual) {
  return origin ?? usual;
}

/** Prints the parts one after the other, or the one that the command's second argument names; then ends the process. */
export async function run(parts) {
  if (only && !parts[only]) {
    console.error(`No part ${only}; there are ${Object.keys(parts).join(", ")}.`);
    process.exit(2);
  }
  setInterval(() => {}, 1_000); // what we wait for keeps no process alive
  for (const part of only ? [parts[only]] : Object.values(parts)) await part();
  process.exit();
}
