import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import { afterEach, beforeAll, describe, it } from "vitest";
import { etcd } from "../../src/adapters/etcd.js";
import { DiscoveryError, defineInstance, type Lease, type Registry } from "../../src/index.js";
import { haltSignal } from "../../src/runtime/deadline.js";
import { type Backend, startBackend } from "../fakes/backend.js";
import { type RunningRegistry, startRegistry, whyMissing } from "../registries/start.js";

const missing = await whyMissing("etcd.sh");
const PASSWORD = "correct horse";
/** A ttl whose lease is lost as soon as it is granted. */
const LOST_S = 77;
const { signal } = new AbortController();

let server: RunningRegistry;
const opened: { close(): Promise<unknown> }[] = [];

describe.skipIf(missing)("registrations that come together, on a real etcd", () => {
  beforeAll(async () => {
    server = await startRegistry("etcd.sh");
    return () => server.stop();
  });
  afterEach(clearUp);

  it("share transactions, and each has a life of its own and the revision at which it stands", async () => {
    const gate = await startGate();
    const registry = keep(etcd({ endpoints: gate.url }));
    await enter(registry, "early", 1); // whoever is the first in a store makes its epoch
    const names = Array.from({ length: 150 }, (_, index) => `many-${index % 50}`);
    const before = gate.transactions();
    const all = [...names, ...names.map(() => "one")];
    const leases = await Promise.all(all.map((name, port) => enter(registry, name, port)));
    const asked = gate.transactions() - before;
    assert.ok(asked < 30, `${asked} transactions`);
    assert.equal(new Set(leases.map(({ id }) => id)).size, 300);
    for (const { instance } of leases) assert.ok(instance.incarnation > 0);
    await stand(registry, leases);
    const known = new Set(await registry.services?.({ signal }));
    for (const name of [...names, "one"]) assert.ok(known.has(name), name);
  });

  it("are all told to a watch, though they stand at one revision", async () => {
    const registry = keep(etcd({ endpoints: server.url }));
    const updates = registry.watch?.("watched", { signal: haltAtEnd() })[Symbol.asyncIterator]();
    await updates?.next();
    const ports = Array.from({ length: 100 }, (_, index) => index);
    const leases = await Promise.all(ports.map((port) => enter(registry, "watched", port)));
    const told = new Map<string, number>();
    while (told.size < 100) {
      const { value } = (await updates?.next()) ?? {};
      const some = value?.type === "reset" ? value.instances : value?.type === "change" ? value.upserted : [];
      for (const { id, incarnation } of some) told.set(id, incarnation);
    }
    for (const { instance } of leases) assert.equal(told.get(instance.id), instance.incarnation);
    assert.ok(new Set(told.values()).size < 50);
  });

  it("take the places of their earlier lives together, and one that may not costs the others nothing", async () => {
    const gate = await startGate();
    const registry = keep(etcd({ endpoints: gate.url }));
    const ports = Array.from({ length: 40 }, (_, index) => index);
    const first = await Promise.all(ports.map((port) => enter(registry, "again", port)));
    const before = gate.transactions();
    const elsewhere = defineInstance({ service: "again", host: "127.0.0.2", port: 1, id: first[0]?.instance.id ?? "" });
    const refused = registry.register(elsewhere, { ttlMs: 60_000, alone: true, signal });
    const [conflict, ...again] = await Promise.allSettled([
      refused,
      ...[...ports, 40, 41, 42].map((port) => enter(registry, "again", port)),
    ]);
    assert.ok(conflict.status === "rejected" && DiscoveryError.is(conflict.reason, "ID_CONFLICT"));
    const leases = again.map((each) => (each as PromiseFulfilledResult<Lease>).value);
    assert.deepEqual(
      leases.map(({ replaced }) => replaced),
      [...ports.map(() => true), false, false, false],
    );
    await stand(registry, leases);
    const asked = gate.transactions() - before;
    assert.ok(asked < 25, `${asked} transactions`); // each by itself would be 85
    assert.equal(
      (
        await registry.renew(
          first.map((lease) => ({ lease })),
          { signal: haltAtEnd() },
        )
      ).unknown.length,
      40,
    );
  });

  it("are entered but for one whose lease is lost before it can be", async () => {
    const gate = await startGate();
    const registry = keep(etcd({ endpoints: gate.url }));
    const ports = Array.from({ length: 20 }, (_, index) => index);
    const asked = ports.map((port) => enter(registry, "lossy", port, port === 7 ? LOST_S * 1_000 : 60_000));
    const settled = await Promise.allSettled(asked);
    const [lost, ...others] = settled.filter(({ status }) => status === "rejected") as PromiseRejectedResult[];
    assert.ok(DiscoveryError.is(lost?.reason, "LEASE_LOST"), String(lost?.reason));
    assert.deepEqual(others, []);
    await stand(
      registry,
      settled.flatMap((each) => (each.status === "fulfilled" ? each.value : [])),
    );
  });

  it("are entered but for one that gave up meanwhile", async () => {
    const registry = keep(etcd({ endpoints: server.url }));
    const halt = new AbortController();
    const gone = enter(registry, "given-up", 99, 60_000, halt.signal);
    const others = Array.from({ length: 20 }, (_, port) => enter(registry, "given-up", port));
    halt.abort(new Error("enough"));
    await assert.rejects(gone, /enough/);
    await stand(registry, await Promise.all(others));
  });

  it("of one id follow each other: the last has the place, whoever came first is told that it has lost it", async () => {
    const registry = keep(etcd({ endpoints: server.url }));
    const leases = await Promise.all([1, 1, 1].map((port) => enter(registry, "twice", port)));
    assert.equal(new Set(leases.map(({ instance }) => instance.incarnation)).size, 3);
    const last = leases.reduce((a, b) => (a.instance.incarnation > b.instance.incarnation ? a : b));
    await stand(registry, [last]);
    const { unknown } = await registry.renew(
      leases.map((lease) => ({ lease })),
      { signal },
    );
    assert.deepEqual(
      unknown.map(({ lease, reason }) => [lease.id, reason]),
      leases.filter((lease) => lease !== last).map(({ id }) => [id, "replaced"]),
    );
  });

  it("of one id from two addresses are one, and one that is refused", async () => {
    const registry = keep(etcd({ endpoints: server.url }));
    const settled = await Promise.allSettled(
      [1, 2].map((port) => {
        const instance = defineInstance({ id: "wanted", service: "contested", host: "127.0.0.1", port });
        return registry.register(instance, { ttlMs: 60_000, alone: true, signal });
      }),
    );
    const refused = settled.filter(({ status }) => status === "rejected") as PromiseRejectedResult[];
    assert.equal(refused.length, 1);
    assert.ok(DiscoveryError.is(refused[0]?.reason, "ID_CONFLICT"));
    await stand(
      registry,
      settled.flatMap((each) => (each.status === "fulfilled" ? each.value : [])),
    );
  });
});

describe.skipIf(missing)("registrations that come together, on an etcd with rights for some of them", () => {
  afterEach(clearUp);

  it("are entered but for one that may not be", async () => {
    server = await startRegistry("etcd.sh", ["--auth", PASSWORD]);
    opened.push({ close: () => server.stop() });
    const { token } = await post("auth/authenticate", { name: "root", password: PASSWORD });
    await post("auth/user/add", { name: "ann", password: PASSWORD }, token);
    await post("auth/role/add", { name: "some" }, token);
    for (const [from, to] of [
      ["services/allowed/", "services/allowed0"],
      ["names/", "names0"],
      ["epoch", "epoci"],
    ]) {
      const [key, range_end] = [from, to].map((each) => Buffer.from(`/mcp-discovery/${each}`).toString("base64"));
      await post("auth/role/grant", { name: "some", perm: { permType: "READWRITE", key, range_end } }, token);
    }
    await post("auth/user/grant", { user: "ann", role: "some" }, token);
    const registry = keep(etcd({ endpoints: server.url, username: "ann", password: PASSWORD }));
    const forbidden = enter(registry, "forbidden", 1);
    const others = Array.from({ length: 10 }, (_, port) => enter(registry, "allowed", port));
    await assert.rejects(forbidden, (error) => DiscoveryError.is(error, "UNAUTHORIZED"));
    await stand(registry, await Promise.all(others));
  });
});

describe.skipIf(missing)("registrations that come together, on an etcd of three members that loses its leader", () => {
  afterEach(clearUp);

  it("stand once each if they were granted, with the revision they were told", async () => {
    server = await startRegistry("etcd.sh", ["--cluster", "3"]);
    opened.push({ close: () => server.stop() });
    const nodes = (server.info["node"] ?? []).map((node) => node.split(" "));
    const registry = keep(etcd({ endpoints: nodes.map(([, url = ""]) => url) }));
    const first = await enter(registry, "elected", 10_000);
    const { leader } = await post("maintenance/status", {});
    const granted: Lease[] = [first];
    let port = 0;
    const lane = async (): Promise<void> => {
      while (port < 600) {
        const next = port++;
        if (next === 200) await killMember(nodes, leader);
        const lease = await enter(registry, "elected", next).catch(() => undefined);
        if (lease) granted.push(lease);
      }
    };
    await Promise.all(Array.from({ length: 30 }, lane));
    assert.ok(granted.length >= 300, `${granted.length} were granted`);
    const listed = await instances(registry, "elected");
    const standing = new Map(listed.map((each) => [each.id, each.incarnation]));
    assert.equal(standing.size, listed.length);
    for (const { instance } of granted) assert.equal(standing.get(instance.id), instance.incarnation);
  });
});

async function killMember(nodes: readonly (readonly string[])[], leader: string): Promise<void> {
  for (const [, url, pid] of nodes) {
    const { header } = await post("maintenance/status", {}, undefined, url);
    if (header.member_id === leader) process.kill(Number(pid), "SIGKILL");
  }
}

function keep<T extends { close(): Promise<unknown> }>(value: T): T {
  opened.push(value);
  return value;
}

async function clearUp(): Promise<void> {
  for (const each of opened.splice(0).reverse()) await each.close();
}

function haltAtEnd(): AbortSignal {
  const halt = haltSignal();
  opened.push({ close: async () => halt.abort() });
  return halt.signal;
}

function enter(registry: Registry, service: string, port: number, ttlMs = 60_000, until?: AbortSignal): Promise<Lease> {
  const instance = defineInstance({ service, host: "127.0.0.1", port: port + 1 });
  return registry.register(instance, { ttlMs, alone: true, signal: until ?? new AbortController().signal });
}

/** They and nobody else stand in their services, each as the life that it was told to be. */
async function stand(registry: Registry, leases: readonly Lease[]): Promise<void> {
  const services = new Set(leases.map(({ instance }) => instance.service));
  const listed = (await Promise.all([...services].map((service) => instances(registry, service)))).flat();
  const lives = (all: readonly { id: string; incarnation: number }[]) =>
    all.map(({ id, incarnation }) => `${id} ${incarnation}`).sort();
  assert.deepEqual(lives(listed), lives(leases.map(({ instance }) => instance)));
}

async function instances(registry: Registry, service: string) {
  const update = await registry.list(service, { signal: new AbortController().signal });
  return update.type === "reset" ? update.instances : [];
}

/** Stands before etcd, counts transactions, and revokes leases of one ttl as soon as they are granted. */
async function startGate() {
  const backend: Backend = keep(
    await startBackend(async (request, response) => {
      const body = await text(request);
      const answer = await fetch(`${server.url}${request.url}`, { method: "POST", body });
      const told = await answer.text();
      if (request.url === "/v3/lease/grant" && JSON.parse(body).TTL === String(LOST_S)) {
        await post("lease/revoke", { ID: JSON.parse(told).ID });
      }
      response.writeHead(answer.status).end(told);
    }),
  );
  const transactions = (): number => backend.requests.filter((each) => each.includes("/v3/kv/txn")).length;
  return { url: `http://127.0.0.1:${backend.port}`, transactions };
}

// biome-ignore lint/suspicious/noExplicitAny: what etcd answers, as it is
async function post(path: string, body: unknown, token?: string, origin = server.url): Promise<any> {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: token };
  const answer = await fetch(`${origin}/v3/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  const told = (await answer.json()) as unknown;
  assert.equal(answer.status, 200, JSON.stringify(told));
  return told;
}
