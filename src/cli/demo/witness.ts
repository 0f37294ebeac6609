import { shownUrl } from "../../connect/shown-url.js";
import { connect } from "../../connect.js";
import { DiscoveryError } from "../../model/errors.js";
import { invalid } from "../../model/fields.js";
import type { ServiceInstance } from "../../model/instance.js";
import { isRegistrar, type Lease, type Registry } from "../../registry/registry.js";
import { type Clock, systemClock } from "../../runtime/clock.js";
import { haltSignal, within } from "../../runtime/deadline.js";

/** A registry that does not answer one question within this, in milliseconds, is not there. */
const ANSWER_WITHIN_MS = 5_000;
/** Time between two looks at the registry, in milliseconds. */
const LOOK_MS = 100;

/** The conductor's own eye, and hand, at a registry: it sees what the registry says, not what resolvers make of it. */
export class Witness {
  /** What the registry is called, for people: no secrets. */
  readonly name: string;
  readonly #registry: Registry;
  readonly #service: string;
  readonly #clock: Clock = systemClock;

  /** @throws {DiscoveryError} `INVALID_OPTION` if it is no URL of a registry to register with */
  constructor(url: string, service: string) {
    const { registry } = connect<Registry>("--registry", url);
    if (!isRegistrar(registry)) {
      throw invalid("--registry", shownUrl(url), "a registry that providers can register with");
    }
    this.name = registry.name;
    this.#registry = registry as Registry;
    this.#service = service;
  }

  /** @throws {DiscoveryError} what says that it is not there, or does not let itself be asked */
  async greet(signal: AbortSignal): Promise<void> {
    await this.#ask("services", signal, (signal) => this.#registry.services?.({ signal }) ?? Promise.resolve([]));
  }

  /** The instances it lists now, by id. */
  async list(signal: AbortSignal): Promise<ReadonlyMap<string, ServiceInstance>> {
    const update = await this.#ask("list", signal, (signal) => this.#registry.list(this.#service, { signal }));
    const instances = update.type === "reset" ? update.instances : [];
    return new Map(instances.map((each) => [each.id, each]));
  }

  /** Resolves when a list pleases; a registry that is away is asked again. */
  async until(pleases: (listed: ReadonlyMap<string, ServiceInstance>) => boolean, signal: AbortSignal): Promise<void> {
    while (true) {
      const listed = await this.list(signal).catch((error: unknown) => {
        if (signal.aborted || !DiscoveryError.is(error) || !error.retryable) throw error;
        return undefined;
      });
      if (listed && pleases(listed)) return;
      await this.#clock.sleep(LOOK_MS, signal);
    }
  }

  /** Deletes registrations behind their holders' backs; resolves with how many could not be. */
  async forget(leases: readonly Lease[]): Promise<number> {
    const { signal } = haltSignal(); // also when the demo was interrupted
    const ended = await Promise.allSettled(
      leases.map((lease) =>
        this.#ask("deregistration", signal, (signal) => this.#registry.deregister(lease, { signal })),
      ),
    );
    return ended.filter(({ status }) => status === "rejected").length;
  }

  close(): Promise<void> {
    return this.#registry.close();
  }

  #ask<T>(what: string, signal: AbortSignal, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return within(`${what} at ${this.#registry.name}`, ANSWER_WITHIN_MS, { clock: this.#clock, signal }, ask);
  }
}

/** Whether all these lives, and not earlier ones of the same ids, are among the instances. */
export function holdsAll(
  listed: ReadonlyMap<string, Pick<ServiceInstance, "incarnation">>,
  leases: readonly Lease[],
): boolean {
  return leases.every(({ instance }) => listed.get(instance.id)?.incarnation === instance.incarnation);
}
