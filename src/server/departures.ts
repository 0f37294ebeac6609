import type { ServiceInstance } from "../model/instance.js";
import type { RegistryUpdate } from "../model/update.js";
import type { Deregistration, Lease } from "../registry/registry.js";

/** A stream whose reader acknowledges what it has applied. */
export type Witness = object;

/**
 * One instance on its way out, and the streams that have yet to acknowledge that.
 *
 * A stream counts once it has acknowledged the line that took the instance out, and no longer once it has gone.
 */
export class Departure {
  /** Resolves when nobody is left to wait for, and at `end()`. */
  readonly over: Promise<Deregistration>;
  readonly #lease: Lease;
  /** The revision at which each was told; 0 until then. */
  readonly #told = new Map<Witness, number>();
  #acked = 0;
  #resolve: (result: Deregistration) => void = () => {};

  constructor(lease: Lease, witnesses: readonly Witness[]) {
    this.#lease = lease;
    for (const witness of witnesses) this.#told.set(witness, 0);
    this.over = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  get service(): string {
    return this.#lease.instance.service;
  }

  /** A witness was sent what takes the instance out; revision 0 cannot be acknowledged. */
  told(witness: Witness, revision: number): void {
    if (this.#told.has(witness)) this.#told.set(witness, revision);
  }

  acknowledged(witness: Witness, revision: number): void {
    const told = this.#told.get(witness) ?? 0;
    if (told === 0 || told > revision) return;
    this.#acked++;
    this.gone(witness);
  }

  gone(witness: Witness): void {
    if (this.#told.delete(witness) && this.#told.size === 0) this.end();
  }

  /** Waits no longer. Idempotent. */
  end(): void {
    this.#resolve({ acked: this.#acked, waiting: this.#told.size });
  }

  /** Whether whoever applies the update no longer has this life of the instance, and has no reason to doubt that. */
  isToldBy(update: RegistryUpdate, named: ReadonlyMap<string, ServiceInstance | undefined>): boolean {
    const { id, incarnation } = this.#lease.instance;
    const other = named.get(id);
    if (other) return incarnation !== 0 && other.incarnation !== incarnation; // 0: nobody knows which life it is
    if (update.type === "change") return named.has(id);
    if (update.type !== "reset" || update.warming === true) return false; // a consumer keeps who is missing then
    return this.#lease.epoch === undefined || update.epoch === undefined || this.#lease.epoch === update.epoch;
  }
}

/** All departures that somebody waits for. Without any, a line costs one look into a map. */
export class Departures {
  readonly #open = new Map<string, Set<Departure>>();

  begin(lease: Lease, witnesses: readonly Witness[]): Departure {
    const departure = new Departure(lease, witnesses);
    const { service } = departure;
    const open = this.#open.get(service) ?? new Set();
    this.#open.set(service, open.add(departure));
    void departure.over.then(() => {
      open.delete(departure);
      if (open.size === 0 && this.#open.get(service) === open) this.#open.delete(service);
    });
    return departure;
  }

  /** Those that an update of the service tells of. */
  toldBy(service: string, update: RegistryUpdate): readonly Departure[] {
    const open = this.#open.get(service);
    if (!open) return NONE;
    const named = new Map<string, ServiceInstance | undefined>();
    if (update.type === "change") for (const { id } of update.removed) named.set(id, undefined);
    const present = update.type === "reset" ? update.instances : update.type === "change" ? update.upserted : [];
    for (const instance of present) named.set(instance.id, instance);
    return [...open].filter((departure) => departure.isToldBy(update, named));
  }

  /** A reader has applied everything up to a revision: of one service, or of all it watches. */
  acknowledged(witness: Witness, revision: number, service: string | undefined): void {
    for (const each of this.#in(service)) each.acknowledged(witness, revision);
  }

  gone(witness: Witness): void {
    for (const each of this.#in(undefined)) each.gone(witness);
  }

  /** Ends every wait. */
  close(): void {
    for (const each of this.#in(undefined)) each.end();
  }

  #in(service: string | undefined): readonly Departure[] {
    if (service !== undefined) return [...(this.#open.get(service) ?? NONE)];
    return this.#open.size === 0 ? NONE : [...this.#open.values()].flatMap((open) => [...open]);
  }
}

const NONE: readonly Departure[] = [];
