import {
  type DeclaredStatus,
  enlisted,
  type InstanceStatus,
  inStatus,
  type ServiceInstance,
} from "../model/instance.js";
import { type Held, newLeaseId, UNPLACED } from "./lease-table.js";
import type { HealthCheck } from "./registry.js";
import { declaredBy, GOOD_BEATS, type ObservedStatus, owedAfterBeat, publishedStatus } from "./status.js";

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

/** One life of an instance: the lease that keeps it, what it declares, and what is seen of it. One object, to be small. */
export class HeldInstance implements Held {
  readonly leaseId: string;
  readonly ttlMs: number;
  readonly holder: string | undefined;
  /** How new it is what is known of it; rises. */
  edition: number;
  /** How it asked to be probed. */
  readonly health: HealthCheck | undefined;
  /** As it is published; `failed` if it is held and not listed. */
  instance: ServiceInstance;
  declared: DeclaredStatus;
  /** What the probes last saw. */
  probes: ObservedStatus = "healthy";
  #owedBeats = 0;
  beatAt = 0;
  bucket: number = UNPLACED;

  constructor(instance: ServiceInstance, life: Life) {
    this.leaseId = life.leaseId ?? newLeaseId();
    this.ttlMs = life.ttlMs;
    this.health = life.health;
    this.holder = life.holder;
    this.edition = life.edition ?? 0;
    this.declared = declaredBy(instance.status, "healthy");
    this.instance = enlisted(inStatus(instance, this.declared), life);
  }

  /** What should be published by now. */
  get status(): InstanceStatus {
    return publishedStatus(this.declared, this.#owedBeats > 0 ? "unstable" : "healthy", this.probes);
  }

  /** Whether it is held and not listed. */
  get unlisted(): boolean {
    return this.instance.status === "failed";
  }

  beat(inTime: boolean): void {
    this.#owedBeats = owedAfterBeat(this.#owedBeats, inTime);
  }

  /** No beat when one was due. */
  late(): void {
    this.#owedBeats = GOOD_BEATS;
  }

  /** The same life with other fields, in the status that holds by now; what is published does not change yet. */
  with(fields: ServiceInstance): ServiceInstance {
    const { registeredAt = 0, incarnation } = this.instance;
    this.declared = declaredBy(fields.status, this.declared);
    return enlisted(inStatus(fields, this.status), { ttlMs: this.ttlMs, registeredAt, incarnation });
  }
}
