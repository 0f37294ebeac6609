import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, it } from "vitest";
import { dns } from "../../src/adapters/dns.js";
import { DiscoveryError } from "../../src/model/errors.js";
import type { RegistryUpdate } from "../../src/model/update.js";
import { type RunningRegistry, startRegistry, whyMissing } from "../registries/start.js";

const missing = await whyMissing("dns.sh");
const { signal } = new AbortController();
const folder = mkdtempSync(join(tmpdir(), "mcp-discovery-dns-"));
const file = join(folder, "zone");
const MANY = 150;
let server: RunningRegistry;
let serial = 1;

describe.skipIf(missing)("dns, of a real name server", () => {
  beforeAll(async () => {
    writeZone(["a A 127.0.0.1"]);
    server = await startRegistry("dns.sh", ["--file", file]);
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true });
  });

  it("reads SRV records with the addresses of their targets, IPv4 and IPv6", async () => {
    await publish([
      ...["_orders._tcp SRV 10 60 8081 a", "_orders._tcp SRV 10 30 8082 b", "_orders._tcp SRV 20 0 8083 a"],
      ...["a A 127.0.0.1", "a A 127.0.0.2", "b AAAA 2001:db8::1"],
    ]);
    const update = await discovery().list("orders", { signal });
    assert.deepEqual(update.type === "reset" && update.instances.map((each) => [each.id, each.weight, each.status]), [
      ["orders@127.0.0.1:8081", 60, "healthy"],
      ["orders@127.0.0.1:8083", 0.01, "unstable"],
      ["orders@127.0.0.2:8081", 60, "healthy"],
      ["orders@127.0.0.2:8083", 0.01, "unstable"],
      ["orders@[2001:db8::1]:8082", 30, "healthy"],
    ]);
    const { position: since } = update as { position?: string };
    assert.equal((await discovery().list("orders", { since, signal })).type, "current");
  });

  it("reads answers that fit into no datagram", async () => {
    const ports = Array.from({ length: MANY }, (_, index) => 9_000 + index);
    await publish(
      ports.flatMap((port) => [`_orders._tcp SRV 0 1 ${port} host-of-${port}`, `host-of-${port} A 127.0.0.1`]),
    );
    assert.equal(portsIn(await discovery().list("orders", { signal })).length, MANY);
    assert.equal(portsIn(await discovery({ tcp: true }).list("orders", { signal })).length, MANY);
  });

  it("reads plain addresses, with one port for all", async () => {
    await publish(["orders A 127.0.0.1", "orders A 127.0.0.2", "orders AAAA 2001:db8::2"]);
    const update = await discovery({ type: "a", port: 80 }).list("orders", { signal });
    assert.deepEqual(update.type === "reset" && update.instances.map(({ host, port }) => [host, port]), [
      ["127.0.0.1", 80],
      ["127.0.0.2", 80],
      ["2001:db8::2", 80],
    ]);
  });

  it("tells a name that is not there from one that says decidedly that nobody is", async () => {
    await publish(["_orders._tcp SRV 0 0 0 .", '_carts._tcp TXT "x"']);
    const of = (service: string) => discovery().list(service, { signal });
    assert.deepEqual(await of("payments"), { type: "absent" });
    for (const service of ["orders", "carts"]) assert.deepEqual(portsIn(await of(service)), []);
  });

  it("counts a target that has no address", async () => {
    await publish(["_orders._tcp SRV 0 1 80 nowhere", "_orders._tcp SRV 0 1 81 a", "a A 127.0.0.1"]);
    const update = await discovery().list("orders", { signal });
    assert.deepEqual([portsIn(update), update.type === "reset" && update.invalid], [[81], 1]);
  });

  it("asks again when the records' time is over, and hears of changes by that", async () => {
    await publish(["_orders._tcp 1 SRV 0 1 81 a", "a A 127.0.0.1"]);
    const updates = discovery({ minRefreshMs: 100 }).watch!("orders", { signal })[Symbol.asyncIterator]();
    assert.deepEqual(portsIn((await updates.next()).value), [81]);
    await publish(["_orders._tcp 1 SRV 0 1 82 a", "a A 127.0.0.1"]);
    let update: RegistryUpdate = { type: "current" };
    while (update.type === "current") update = (await updates.next()).value;
    assert.deepEqual(portsIn(update), [82]);
  });

  it("says that it was refused where the zone is not this server's", async () => {
    await assert.rejects(discovery({ domain: "example.test" }).list("orders", { signal }), (error) =>
      DiscoveryError.is(error, "REJECTED"),
    );
  });
});

describe.skipIf(await whyMissing("consul.sh"))("dns, of a real Consul", () => {
  it("finds all of sixty instances, of which a datagram would show three", async () => {
    const consul = await startRegistry("consul.sh");
    try {
      for (let port = 9_000; port < 9_060; port++) {
        const body = JSON.stringify({ ID: `orders-${port}`, Name: "orders", Address: "127.0.0.1", Port: port });
        await fetch(`${consul.url}/v1/agent/service/register`, { method: "PUT", body });
      }
      const [at = ""] = consul.info["dns"] ?? [];
      const registry = dns({ server: at.replace(/^\w+:\/\//, ""), name: "{service}.service.consul", tcp: true });
      let ports = portsIn(await registry.list("orders", { signal }));
      while (ports.length < 60) ports = portsIn(await registry.list("orders", { signal }));
      assert.equal(ports.length, 60);
    } finally {
      await consul.stop();
    }
  });
});

function discovery(options: Parameters<typeof dns>[0] = {}) {
  return dns({ server: `127.0.0.1:${server.port}`, domain: "discovery.test", ...options });
}

function portsIn(update: RegistryUpdate): readonly number[] {
  assert.equal(update.type, "reset");
  return update.type === "reset" ? update.instances.map(({ port }) => port) : [];
}

function writeZone(records: readonly string[]): void {
  const head = ["$ORIGIN discovery.test.", "$TTL 5", `@ SOA ns hostmaster ${++serial} 3600 600 86400 2`, "@ NS ns"];
  writeFileSync(file, [...head, "ns A 127.0.0.1", `serial-${serial} A 127.0.0.1`, ...records, ""].join("\n"));
}

/** Serves other records, and waits until they are served. */
async function publish(records: readonly string[]): Promise<void> {
  writeZone(records);
  process.kill(Number(server.info["pid"]?.[0]), "SIGHUP");
  const probe = discovery({ type: "a", port: 1 });
  while ((await probe.list(`serial-${serial}`, { signal })).type === "absent");
}
