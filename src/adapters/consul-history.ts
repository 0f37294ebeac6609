import { randomBytes } from "node:crypto";
import type { ServiceInstance } from "../model/instance.js";
import { type Position, type RegistryUpdate, sameInstances } from "../model/update.js";
import { Recent } from "../registry/recent.js";

/** Services whose last answer is remembered, to tell what is new: as many as a registry may hold. */
const REMEMBERED = 10_000;

/** What Consul said of one service, and at which of its indexes. */
export interface Told {
  /** Where to wait for the next change: never below 1, at which Consul would answer at once. */
  readonly index: bigint;
  readonly instances: readonly ServiceInstance[];
  /** Records that could not be read. */
  readonly invalid: number;
}

/** The same, and what it means. */
export interface Answer extends Told {
  readonly update: RegistryUpdate & { readonly type: "reset" | "absent" };
  /** Undefined at index 1, which may stand for one that was not told. */
  readonly position: Position | undefined;
  readonly epoch: string;
  /** It cannot come after what was known when it was asked for: Consul was restored, or began anew. */
  readonly rewound: boolean;
}

/**
 * Keeps an eye on Consul's index: the same or a lower one under other contents belongs to another history of that
 * Consul, hence to another epoch. Whoever is missing there may only not have returned yet.
 */
export class ConsulHistory {
  readonly #life = randomBytes(6).toString("hex"); // positions that another process was given mean nothing here
  #count = 0;
  #last = new Recent<Answer>(REMEMBERED);

  get epoch(): string {
    return `${this.#life}${this.#count}`;
  }

  /** The last answer about a service in this epoch. */
  latest(service: string): Answer | undefined {
    return this.#last.get(service);
  }

  /** Takes in an answer; `before` is the latest there was when it was asked for. */
  take(service: string, told: Told, before: Answer | undefined): Answer {
    const rewound = before !== undefined && !follows(before, told);
    if (rewound && before.epoch === this.epoch) this.#begin(); // else another answer has found that out
    const { epoch } = this;
    const { index, instances, invalid } = told;
    const position = index === 1n ? undefined : `${epoch}:${index}`;
    const nobody = instances.length === 0 && invalid === 0; // to Consul, a service without instances does not exist
    const update = nobody
      ? ({ type: "absent", epoch } as const)
      : ({ type: "reset", instances, invalid, position, epoch } as const);
    const answer = { index, instances, invalid, update, position, epoch, rewound };
    const latest = this.#last.get(service);
    if (!latest || latest === before || index > latest.index) this.#last.set(service, answer);
    return answer;
  }

  /** Whether whoever stands at `since` knows more than an answer tells. */
  isPast(answer: Answer, since: Position | undefined): boolean {
    const [epoch, index = "0"] = since?.split(":") ?? [];
    return epoch === this.epoch && (answer.epoch !== epoch || BigInt(index) > answer.index);
  }

  #begin(): void {
    this.#count++;
    this.#last = new Recent(REMEMBERED);
  }
}

/** Whether an answer can come after one that was there before it was asked for. */
function follows(before: Answer, { index, instances }: Told): boolean {
  if (index !== before.index) return index > before.index;
  return index === 1n || sameInstances(before.instances, instances);
}
