import { DiscoveryError } from "../../src/model/errors.js";
import type { Lease, Registry } from "../../src/registry/registry.js";
import { untilAborted } from "../../src/runtime/deadline.js";

/** A registry that can be taken away: then it fails at once, or says nothing. */
export interface SwitchedRegistry {
  readonly registry: Registry;
  /** Which calls it was asked, in order. */
  readonly asked: string[];
  is: "there" | "away" | "silent";
}

/** Puts a switch before a registry, which its open watches notice as well. */
export function switched(name: string, inner: Registry): SwitchedRegistry {
  let is: SwitchedRegistry["is"] = "there";
  let cut = new AbortController();
  const asked: string[] = [];
  const through = async <T>(what: string, signal: AbortSignal, task: () => Promise<T>): Promise<T> => {
    asked.push(what);
    if (is === "silent") await untilAborted(new Promise(() => {}), signal);
    if (is === "away") throw away();
    return task();
  };
  const away = (): DiscoveryError => new DiscoveryError("UNAVAILABLE", `${name} is away`);
  const registry: Registry = {
    name,
    capabilities: { ...inner.capabilities, quietMs: 35_000 },
    list: (service, options) => through("list", options.signal, () => inner.list(service, options)),
    async *watch(service, { since, signal }) {
      await through("watch", signal, async () => {});
      const updates = inner.watch?.(service, { since, signal })[Symbol.asyncIterator]();
      while (updates) {
        const { value, done } = await untilAborted(updates.next(), cut.signal);
        if (done) return;
        yield value;
      }
    },
    services: (options) => through("services", options.signal, async () => (await inner.services?.(options)) ?? []),
    register: (instance, options) => through("register", options.signal, () => inner.register(instance, options)),
    renew: (beats, options) => through("renew", options.signal, () => inner.renew(beats, options)),
    update: (lease, instance, options) =>
      through("update", options.signal, () => inner.update(lease, instance, options)),
    deregister: (lease: Lease, options) =>
      through("deregister", options.signal, () => inner.deregister(lease, options)),
    close: () => inner.close(),
  };
  return {
    registry,
    asked,
    get is() {
      return is;
    },
    set is(next) {
      is = next;
      if (next === "away") cut.abort(away());
      if (next === "there") cut = new AbortController();
    },
  };
}
