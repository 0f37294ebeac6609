// Writes snapshots of ever more leases, one after the other, until it is killed. Argument: the file.
import { defineInstance } from "../../dist/model/instance.js";
import { HeldInstance } from "../../dist/registry/held-instance.js";
import { encoded, writeSnapshot } from "../../dist/registry/snapshot-file.js";

const [path] = process.argv.slice(2);
const life = { ttlMs: 30_000, incarnation: 1, registeredAt: 0 };
const metadata = { note: "x".repeat(500) };
const leases = Array.from({ length: 400 }, (_, index) => {
  return new HeldInstance(defineInstance({ service: "orders", host: "10.0.0.1", port: index + 1, metadata }), life);
});
for (let revision = 1; ; revision++) {
  await writeSnapshot(path, encoded(revision, leases.slice(0, 1 + (revision % leases.length))));
  if (revision === 1) process.send("begun");
}
