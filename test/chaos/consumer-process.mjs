// A consumer that calls in an open loop, and can be made to run out of file descriptors.
// Argument: `{ url, options }` as JSON. Messages: `{ rate }` calls a second, answered with the block of calls sent until
// then; `{ exhaust: true | false }` takes every file descriptor there is, or gives all of them back.
import { closeSync, openSync } from "node:fs";
import { createResolver, DiscoveryError } from "../../dist/index.js";

const TICK_MS = 5;

const { url, options } = JSON.parse(process.argv[2]);
const resolver = createResolver({ registry: url, ...options });
const orders = resolver.service("orders");
const taken = [];
let rate = 0;
let block = emptyBlock();
let begunAt = performance.now();
let made = 0;
orders.on("ejected", ({ instance, cause }) => block.ejected.push(`${instance.id} ${cause}`));
process.on("message", (message) => {
  if ("rate" in message) void nextBlock(message.rate);
  else if (message.exhaust) exhaust();
  else for (const fd of taken.splice(0)) closeSync(fd);
});
process.once("disconnect", () => process.exit());
process.once("warning", ({ message }) => process.send({ warning: message }));

setInterval(() => {
  const due = Math.floor(((performance.now() - begunAt) / 1_000) * rate);
  for (; made < due; made++) block.pending.push(call(block));
}, TICK_MS);
await orders.ready();
process.send({ ready: true });

async function nextBlock(nextRate) {
  const { pending, ...done } = block;
  rate = nextRate;
  made = 0;
  begunAt = performance.now();
  block = emptyBlock();
  await Promise.all(pending);
  process.send({ block: { calls: pending.length, instances: orders.instances().length, ...done } });
}

async function call({ failures }) {
  const sentAt = performance.now();
  try {
    const { body } = await orders.request("/v1/orders/42");
    await body.dump();
  } catch (error) {
    const cause = error.cause?.code;
    failures.push({ sentAt, code: DiscoveryError.is(error) ? error.code : "FOREIGN", cause, message: String(error) });
  }
}

function exhaust() {
  try {
    for (;;) taken.push(openSync("/dev/null"));
  } catch (error) {
    process.send({ exhausted: error.code, taken: taken.length });
  }
}

function emptyBlock() {
  return { pending: [], failures: [], ejected: [] };
}
