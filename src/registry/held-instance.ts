import {
  type DeclaredStatus,
  enlisted,
  type InstanceStatus,
  inStatus,
  type ServiceInstance,
} from "../model/instance.js";
import { type Held, newLeaseId, UNPLACED } from "./lease-table.js";
import type { HealthCheck } from "./registry.js";
import { declaredBy, GOOD_BEATS, type ObservedStatus, owedAfterBeat, type Standing, standing } from "./status.js";

const HEALTHY = standing("healthy", "healthy", 0);

/** What one life of an instance begins with. */
export interface Life {
  readonly ttlMs: number;
  readonly incarnation: number;
  readonly registeredAt: number;
  readonly health?: HealthCheck | undefined;
  /** Who began it, and how new it is what that told of itself. */
  readonly holder?: string | undefined;
  readonly edition?: number | undefined;
  /** @default a new secret */
  readonly leaseId?: string;
}

/**
 * One life of an instance: the lease that keeps it, what it declares, and what is seen of it. One object with few fields:
 * there may be a hundred thousand.
 */
export class HeldInstance implements Held {
  readonly leaseId: string;
  readonly holder: string | undefined;
  /** How new it is what is known of it; rises. */
  edition: number;
  /** How it asked to be probed. */
  readonly health: HealthCheck | undefined;
  /** As it is published; `failed` if it is held and not listed. */
  instance: ServiceInstance;
  #standing: Standing;
  beatAt = 0;
  bucket: number = UNPLACED;

  /** @param like another instance of the service, to share with it what both say alike */
  constructor(instance: ServiceInstance, life: Life, like?: ServiceInstance) {
    const { status } = instance;
    this.leaseId = life.leaseId ?? newLeaseId();
    this.health = life.health;
    this.holder = life.holder;
    this.edition = life.edition ?? 0;
    this.#standing = status === "healthy" ? HEALTHY : standing(declaredBy(status, "healthy"), "healthy", 0);
    this.instance = enlisted(inStatus(instance, this.declared), life, like);
  }

  get ttlMs(): number {
    return this.instance.ttlMs as number; // every record of a life has one
  }

  get declared(): DeclaredStatus {
    return this.#standing.declared;
  }

  /** What should be published by now. */
  get status(): InstanceStatus {
    return this.#standing.status;
  }

  /** Whether it is held and not listed. */
  get unlisted(): boolean {
    return this.instance.status === "failed";
  }

  beat(inTime: boolean): void {
    if (inTime && this.#standing.owedBeats === 0) return;
    this.#standing = changed(this.#standing, { owedBeats: owedAfterBeat(this.#standing.owedBeats, inTime) });
  }

  /** No beat when one was due. */
  late(): void {
    this.#standing = changed(this.#standing, { owedBeats: GOOD_BEATS });
  }

  declare(declared: DeclaredStatus): void {
    if (declared !== this.declared) this.#standing = changed(this.#standing, { declared });
  }

  /** What the probes saw. */
  probed(probes: ObservedStatus): void {
    this.#standing = changed(this.#standing, { probes });
  }

  /** The same life with other fields, in the status that holds by now; what is published does not change yet. */
  with(fields: ServiceInstance): ServiceInstance {
    const { registeredAt = 0, incarnation } = this.instance;
    this.declare(declaredBy(fields.status, this.declared));
    return enlisted(inStatus(fields, this.status), { ttlMs: this.ttlMs, registeredAt, incarnation }, this.instance);
  }
}

/** No private method: that would be one field more in every instance. */
function changed(before: Standing, change: Partial<Standing>): Standing {
  const { declared, probes, owedBeats } = { ...before, ...change };
  return standing(declared, probes, owedBeats);
}
