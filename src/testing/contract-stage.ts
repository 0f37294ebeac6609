import assert from "node:assert/strict";
import { defineInstance, type InstanceInput, type ServiceInstance } from "../model/instance.js";
import type { Position, RegistryUpdate } from "../model/update.js";
import type { Lease, Registry } from "../registry/registry.js";
import { systemClock } from "../runtime/clock.js";
import { haltSignal, within } from "../runtime/deadline.js";
import type { ContractFaults, ContractSubject } from "./contract-subject.js";

/** What is cleared up after a case may take this long, in milliseconds: the registry may have been left in ruins. */
const CLEAR_UP_MS = 5_000;

/** One promise, told as a story that fails if it is broken. */
export type Story = (stage: Stage) => Promise<void>;
export type Stories = Readonly<Record<string, Story>>;

/** What a story plays on: a registry, and one service in it that is nobody else's. */
export class Stage {
  readonly registry: Registry;
  readonly service: string;
  readonly ttlMs: number;
  readonly precisionMs: number;
  readonly faults: ContractFaults;
  readonly #subject: ContractSubject;
  readonly #halt = haltSignal();
  readonly #leases: Lease[] = [];

  constructor(subject: ContractSubject) {
    this.#subject = subject;
    this.registry = subject.registry;
    this.service = subject.service ?? "orders";
    this.ttlMs = subject.ttlMs ?? 9_000;
    this.precisionMs = subject.precisionMs ?? 1;
    this.faults = subject.faults ?? {};
  }

  get signal(): AbortSignal {
    return this.#halt.signal;
  }

  /** Lets time pass, as far as the subject can. */
  async pass(ms: number): Promise<void> {
    await this.#subject.advance?.(ms);
  }

  instance(fields: Partial<InstanceInput> = {}): ServiceInstance {
    return defineInstance({ service: this.service, host: "127.0.0.1", port: 3_000, ...fields });
  }

  /** The id an instance has by default. */
  id(port = 3_000): string {
    return `${this.service}@127.0.0.1:${port}`;
  }

  async register(fields?: Partial<InstanceInput>): Promise<Lease> {
    const options = { ttlMs: this.ttlMs, signal: this.signal };
    const lease = await this.registry.register(this.instance(fields), options);
    this.#leases.push(lease);
    return lease;
  }

  async list(since?: Position): Promise<RegistryUpdate> {
    await this.settle();
    return this.registry.list(this.service, { since, signal: this.signal });
  }

  /** The names of all services. */
  async services(): Promise<readonly string[]> {
    await this.settle();
    return (await this.registry.services?.(this)) ?? [];
  }

  /** Waits until a list tells what was done before. */
  async settle(): Promise<void> {
    const { settleMs = 0 } = this.#subject;
    if (settleMs > 0) await systemClock.sleep(settleMs);
  }

  /** Who may be called. Some registries go on listing those that failed, and some know no service without instances. */
  async instances(): Promise<readonly ServiceInstance[]> {
    const update = await this.list();
    if (update.type === "absent" && !this.registry.capabilities.absence) return [];
    assert.equal(update.type, "reset");
    return update.type === "reset" ? update.instances.filter(({ status }) => status !== "failed") : [];
  }

  async ids(): Promise<readonly string[]> {
    return (await this.instances()).map(({ id }) => id);
  }

  /** A watcher that believes everything it is told, and fails on a gap. */
  watch(signal = this.signal, since?: Position, before: readonly string[] = []): Watcher {
    return new Watcher(this.registry, this.service, signal, since, before);
  }

  /** Leaves nothing behind: the registry may be shared with other cases. */
  async clear(): Promise<void> {
    const leave = (signal: AbortSignal): Promise<unknown> =>
      Promise.all(this.#leases.map((lease) => this.registry.deregister(lease, { signal })));
    await within("clearing up", CLEAR_UP_MS, { clock: systemClock, signal: this.signal }, leave).catch(() => {});
    this.#halt.abort();
  }
}

/** Follows one service from update to update. */
export class Watcher {
  readonly removals: { readonly id: string; readonly reason?: string | undefined }[] = [];
  position: Position | undefined;
  readonly #updates: AsyncIterator<RegistryUpdate>;
  readonly #known: Map<string, ServiceInstance | undefined>;

  constructor(
    registry: Registry,
    service: string,
    signal: AbortSignal,
    since: Position | undefined,
    before: readonly string[],
  ) {
    const updates = registry.watch?.(service, { since, signal })[Symbol.asyncIterator]();
    assert.ok(updates, "a registry under contract can watch");
    this.#updates = updates;
    this.position = since;
    this.#known = new Map(before.map((id) => [id, undefined]));
  }

  get known(): readonly string[] {
    return [...this.#known.keys()].sort();
  }

  get(id: string): ServiceInstance | undefined {
    return this.#known.get(id);
  }

  async next(): Promise<RegistryUpdate> {
    const { value, done } = await this.#updates.next();
    assert.ok(!done, "the watch ended");
    const update = value as RegistryUpdate;
    this.#take(update);
    return update;
  }

  /** Reads on until so many are known. */
  async until(count: number): Promise<readonly string[]> {
    do await this.next();
    while (this.#known.size !== count);
    return this.known;
  }

  #take(update: RegistryUpdate): void {
    if (update.type === "absent") this.#known.clear();
    if (update.type === "absent" || update.type === "current") return;
    if (update.type === "reset") this.#known.clear();
    else assert.equal(update.since, this.position, "a change that follows on what was told before");
    const present = update.type === "reset" ? update.instances : update.upserted;
    for (const instance of present) this.#known.set(instance.id, instance);
    if (update.type === "change") {
      for (const removal of update.removed) if (this.#known.delete(removal.id)) this.removals.push(removal);
    }
    this.position = update.position;
  }
}
