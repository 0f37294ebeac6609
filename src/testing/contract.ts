import assert from "node:assert/strict";
import { DiscoveryError } from "../model/errors.js";
import { defineInstance, type InstanceInput } from "../model/instance.js";
import type { Position } from "../model/update.js";
import type { Capabilities, Lease, Registry } from "../registry/registry.js";
import { reading } from "./contract-reader.js";

/** A registry to be tested, fresh for each case. */
export interface ContractSubject {
  readonly registry: Registry;
  /** Lets the registry's time pass; without it, cases that need time do not exist. */
  readonly advance?: (ms: number) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** What a registry under test can do, as it declares it; what it cannot do is no case. */
export type ContractNeeds = Partial<Pick<Capabilities, "reasons" | "epoch" | "absence">> & {
  /** Whether the subject can let time pass. */
  readonly time?: boolean;
};

/** One promise every registry must keep. Run it with any test runner: `for (const { name, run } of …) it(name, run)`. */
export interface ContractCase {
  readonly name: string;
  readonly run: () => Promise<void>;
}

type Story = (subject: ContractSubject & { readonly signal: AbortSignal }) => Promise<void>;

type Stories = Readonly<Record<string, Story>>;

const TTL_MS = 9_000;

/**
 * The contract of {@link Registry}, as cases that are tied to no test runner.
 *
 * @param make a fresh registry for each case
 * @param has what the registry under test declares; by default all of it
 * @throws {AssertionError} from a case, if the registry declares otherwise
 */
export function registryContract(
  make: () => Promise<ContractSubject>,
  has: ContractNeeds = {},
): readonly ContractCase[] {
  const possible = GROUPS.filter(({ needs }) => needs === undefined || has[needs] !== false);
  const stories = possible.flatMap((group) => Object.entries(group.stories));
  return stories.map(([name, story]) => ({ name, run: () => told(make, story, has) }));
}

async function told(make: () => Promise<ContractSubject>, story: Story, has: ContractNeeds): Promise<void> {
  const subject = await make();
  for (const need of ["reasons", "epoch", "absence"] as const) {
    assert.equal(
      subject.registry.capabilities[need],
      has[need] ?? true,
      `the registry declares ${need} as it is tested`,
    );
  }
  const halt = new AbortController();
  try {
    await story({ ...subject, signal: halt.signal });
  } finally {
    halt.abort();
    await subject.close();
  }
}

const ALWAYS: Stories = {
  "lists what was registered, with every field": async ({ registry, signal }) => {
    const fields = { weight: 2.5, zone: "eu-1", version: "v1.2", tags: ["blue"], metadata: { env: "prod" } };
    await register(registry, signal, { host: "::1", protocol: "https", ...fields });
    const [instance] = await idsAndMore(registry, signal);
    assert.equal(instance?.id, "orders@[::1]:3000");
    assert.deepEqual(
      { ...instance, metadata: { ...instance?.metadata } },
      { ...instance, ...fields, protocol: "https" },
    );
  },
  "answers with the ttl and the beat interval that hold": async ({ registry, signal }) => {
    const lease = await register(registry, signal);
    assert.ok(lease.ttlMs >= TTL_MS);
    assert.ok(lease.heartbeatMs > 0 && lease.heartbeatMs < lease.ttlMs);
  },
  "reads its own writes": async ({ registry, signal }) => {
    const leases: Lease[] = [];
    for (let port = 3_000; port < 3_005; port++) leases.push(await register(registry, signal, { port }));
    assert.equal((await ids(registry, signal)).length, 5);
    await registry.deregister(leases[2] as Lease, { signal });
    assert.ok(!(await ids(registry, signal)).includes("orders@127.0.0.1:3002"));
  },
  "keeps one record when the answer to a registration is lost and it is sent again": async ({ registry, signal }) => {
    await register(registry, signal);
    const again = await register(registry, signal);
    assert.deepEqual(await ids(registry, signal), ["orders@127.0.0.1:3000"]);
    assert.deepEqual((await registry.renew([{ lease: again }], { signal })).unknown, []);
  },
  "tells the older of two holders on one address that it was replaced": async ({ registry, signal }) => {
    const older = await register(registry, signal);
    const newer = await register(registry, signal);
    const { unknown } = await registry.renew([{ lease: older }, { lease: newer }], { signal });
    assert.deepEqual(
      unknown.map(({ lease, reason }) => [lease.id, reason]),
      [[older.id, "replaced"]],
    );
  },
  "gives each life of an id another incarnation": async ({ registry, signal }) => {
    await register(registry, signal);
    const [first] = await idsAndMore(registry, signal);
    await register(registry, signal);
    const [second] = await idsAndMore(registry, signal);
    assert.notEqual(first?.incarnation, second?.incarnation);
  },
  "refuses an id that a live instance holds on another address": async ({ registry, signal }) => {
    await register(registry, signal, { id: "one" });
    await assert.rejects(register(registry, signal, { id: "one", port: 4_000 }), (error) =>
      DiscoveryError.is(error, "ID_CONFLICT"),
    );
    assert.deepEqual(
      (await idsAndMore(registry, signal)).map(({ port }) => port),
      [3_000],
    );
  },
  "removes nobody for the late deregistration of an earlier life": async ({ registry, signal }) => {
    const older = await register(registry, signal);
    await register(registry, signal);
    await registry.deregister(older, { signal });
    assert.deepEqual(await ids(registry, signal), ["orders@127.0.0.1:3000"]);
  },
  "takes a second deregistration as the first": async ({ registry, signal }) => {
    const lease = await register(registry, signal);
    await registry.deregister(lease, { signal });
    await registry.deregister(lease, { signal });
    assert.deepEqual(await ids(registry, signal), []);
  },
  "names the leases it does not know, and renews the others": async ({ registry, signal }) => {
    const gone = await register(registry, signal, { port: 3_001 });
    const alive = await register(registry, signal, { port: 3_002 });
    await registry.deregister(gone, { signal });
    const { unknown } = await registry.renew([{ lease: gone }, { lease: alive }], { signal });
    assert.deepEqual(
      unknown.map(({ lease }) => lease.id),
      [gone.id],
    );
  },
  "publishes an update and keeps the life": async ({ registry, signal }) => {
    const lease = await register(registry, signal);
    const [before] = await idsAndMore(registry, signal);
    await registry.update(lease, instance({ weight: 7, metadata: { env: "test" } }), { signal });
    const [after] = await idsAndMore(registry, signal);
    assert.equal(after?.weight, 7);
    assert.equal(after?.metadata["env"], "test");
    assert.equal(after?.incarnation, before?.incarnation);
  },
  "refuses to update a lease it does not know": async ({ registry, signal }) => {
    const lease = await register(registry, signal);
    await registry.deregister(lease, { signal });
    await assert.rejects(registry.update(lease, instance({ weight: 2 }), { signal }), (error) =>
      DiscoveryError.is(error, "LEASE_LOST"),
    );
  },
  "publishes the status a heartbeat declares": async ({ registry, signal }) => {
    const lease = await register(registry, signal);
    await registry.renew([{ lease, status: "draining" }], { signal });
    assert.deepEqual(
      (await idsAndMore(registry, signal)).map(({ status }) => status),
      ["draining"],
    );
  },
  "answers that nothing changed after the position it gave": async ({ registry, signal }) => {
    await register(registry, signal);
    const { position } = (await registry.list("orders", { signal })) as { position?: Position };
    assert.equal((await registry.list("orders", { since: position, signal })).type, "current");
    await register(registry, signal, { port: 3_001 });
    assert.notEqual((await registry.list("orders", { since: position, signal })).type, "current");
  },
  "lists the names of its services": async ({ registry, signal }) => {
    await register(registry, signal);
    await register(registry, signal, { service: "carts" });
    assert.deepEqual(await registry.services?.({ signal }), ["carts", "orders"]);
  },
  "begins a watch with the list and goes on with every change": async ({ registry, signal }) => {
    await register(registry, signal, { port: 3_001 });
    const watch = reading(registry, signal);
    assert.deepEqual(await watch.until(1), ["orders@127.0.0.1:3001"]);
    const second = await register(registry, signal, { port: 3_002 });
    assert.deepEqual(await watch.until(2), ["orders@127.0.0.1:3001", "orders@127.0.0.1:3002"]);
    await registry.deregister(second, { signal });
    assert.deepEqual(await watch.until(1), ["orders@127.0.0.1:3001"]);
  },
  "resumes a watch where it was cut, without a gap": async ({ registry, signal }) => {
    await register(registry, signal, { port: 3_001 });
    const cut = new AbortController();
    const first = reading(registry, cut.signal);
    await first.until(1);
    cut.abort();
    for (let port = 3_002; port <= 3_010; port++) await register(registry, signal, { port });
    const resumed = reading(registry, signal, first.position, first.known);
    assert.equal((await resumed.until(10)).length, 10);
  },
  "tells a watcher of a service that did not exist when it began": async ({ registry, signal }) => {
    const watch = reading(registry, signal);
    await watch.next();
    await register(registry, signal);
    assert.deepEqual(await watch.until(1), ["orders@127.0.0.1:3000"]);
  },
};

const WITH_ABSENCE: Stories = {
  "tells a service without instances from a name it never heard": async ({ registry, signal }) => {
    assert.equal((await registry.list("orders", { signal })).type, "absent");
    await registry.deregister(await register(registry, signal), { signal });
    const update = await registry.list("orders", { signal });
    assert.deepEqual(update.type === "reset" && update.instances, []);
  },
};

const WITH_REASONS: Stories = {
  "says why an instance left": async ({ registry, signal }) => {
    const lease = await register(registry, signal);
    const watch = reading(registry, signal);
    await watch.until(1);
    await registry.deregister(lease, { signal });
    await watch.until(0);
    assert.deepEqual(watch.removals, [{ id: "orders@127.0.0.1:3000", reason: "deregistered" }]);
  },
};

const WITH_EPOCH: Stories = {
  "resumes from a position of another registry's life with the whole list": async ({ registry, signal }) => {
    await register(registry, signal);
    const update = await registry.list("orders", { since: "another-life:1", signal });
    assert.deepEqual(update.type === "reset" && update.instances.map(({ id }) => id), ["orders@127.0.0.1:3000"]);
  },
};

const WITH_TIME: Stories = {
  "ends a lease at its ttl, never early": async ({ registry, signal, advance }) => {
    await register(registry, signal);
    await advance?.(TTL_MS - 1);
    assert.equal((await ids(registry, signal)).length, 1);
    await advance?.(1_001);
    assert.deepEqual(await ids(registry, signal), []);
  },
  "keeps a lease that is renewed": async ({ registry, signal, advance }) => {
    const lease = await register(registry, signal);
    for (let beat = 0; beat < 10; beat++) {
      await advance?.(TTL_MS / 3);
      assert.deepEqual((await registry.renew([{ lease }], { signal })).unknown, []);
    }
    assert.equal((await ids(registry, signal)).length, 1);
  },
  "tells a late beat that its lease expired": async ({ registry, signal, advance }) => {
    const lease = await register(registry, signal);
    await advance?.(TTL_MS + 1_000);
    const { unknown } = await registry.renew([{ lease }], { signal });
    assert.deepEqual(
      unknown.map(({ reason }) => reason),
      ["expired"],
    );
  },
};

const GROUPS: readonly { readonly needs?: keyof ContractNeeds; readonly stories: Stories }[] = [
  { stories: ALWAYS },
  { needs: "absence", stories: WITH_ABSENCE },
  { needs: "reasons", stories: WITH_REASONS },
  { needs: "epoch", stories: WITH_EPOCH },
  { needs: "time", stories: WITH_TIME },
];

function instance(fields: Partial<InstanceInput> = {}): ReturnType<typeof defineInstance> {
  return defineInstance({ service: "orders", host: "127.0.0.1", port: 3_000, ...fields });
}

function register(registry: Registry, signal: AbortSignal, fields?: Partial<InstanceInput>): Promise<Lease> {
  return registry.register(instance(fields), { ttlMs: TTL_MS, signal });
}

async function idsAndMore(registry: Registry, signal: AbortSignal) {
  const update = await registry.list("orders", { signal });
  assert.equal(update.type, "reset");
  return update.type === "reset" ? update.instances : [];
}

async function ids(registry: Registry, signal: AbortSignal): Promise<string[]> {
  return (await idsAndMore(registry, signal)).map(({ id }) => id);
}
