// A consumer without a file handle left: told its instances' ports and for how long, says what came of one call.
import { closeSync, openSync } from "node:fs";
import { devNull } from "node:os";
import { createResolver, staticRegistry } from "../../dist/index.js";

const [shortMs, ...ports] = process.argv.slice(2).map(Number);
const registry = staticRegistry(ports.map((port) => ({ service: "orders", host: "127.0.0.1", port })));
const orders = createResolver({ registry }).service("orders");
await orders.ready();

const held = [];
const told = { ejected: 0 };
orders.on("ejected", () => told.ejected++);
try {
  while (true) held.push(openSync(devNull, "r"));
} catch (error) {
  told.short = error.code;
}
const release = () => {
  for (const handle of held.splice(0)) closeSync(handle);
};
setTimeout(release, shortMs).unref();
try {
  const { statusCode, body } = await orders.request("/", { method: "POST", body: "once" });
  await body.dump();
  told.status = statusCode;
} catch (error) {
  told.failed = [error.code, error.cause?.code, error.message.split(/\. | \(/).at(-2)];
}
release();
told.usable = orders.explain().counts.usable;
console.log(JSON.stringify(told));
