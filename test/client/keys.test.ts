import assert from "node:assert/strict";
import { describe, it } from "vitest";
import {
  type Balancer,
  createResolver,
  DiscoveryError,
  type Endpoint,
  type KeyRule,
  roundRobin,
  staticRegistry,
} from "../../src/index.js";
import { headerOf, withHeader } from "../../src/runtime/request-headers.js";
import { startBackend } from "../fakes/backend.js";
import { opened } from "../opened.js";

describe("a key rule", () => {
  it("finds the key of a plain fetch in a header, a cookie, a segment, a match, or by a function", async () => {
    const found = async (key: KeyRule): Promise<string | undefined> => {
      const { resolver, keys } = await start(key);
      await (
        await resolver.fetch("http://orders/v1/carts/7?page=2", {
          headers: { "X-User": "ann", cookie: "theme=dark; sid=abc=1; last=x" },
        })
      ).text();
      return keys[0];
    };
    assert.equal(await found({ header: "x-user" }), "ann");
    assert.equal(await found({ cookie: "sid" }), "abc=1");
    assert.equal(await found({ path: 2 }), "7");
    assert.equal(await found({ path: /carts\/(\d+)/ }), "7");
    assert.equal(await found({ path: /carts/ }), "carts");
    assert.equal(await found(({ method, path }) => method + path), "GET/v1/carts/7?page=2");
  });

  it("finds none where there is none", async () => {
    const rules: KeyRule[] = [{ header: "x-user" }, { cookie: "sid" }, { path: 2 }, { path: /carts/ }, () => undefined];
    for (const key of rules) {
      const { orders, keys } = await start(key);
      await (await orders.request("/v1")).body.dump();
      assert.deepEqual(keys, [undefined]);
    }
  });

  it("gives way to the key a call names itself", async () => {
    const { orders, keys } = await start({ header: "x-user" });
    await (await orders.request("/", { key: "mine", headers: { "x-user": "ann" } })).body.dump();
    await (await orders.fetch("/", { headers: { "x-user": "ann" } })).text();
    assert.deepEqual(keys, ["mine", "ann"]);
  });

  it("is not looked at while the balancer does not use keys, but for a shadow that does", async () => {
    let asked = 0;
    const { orders, keys, balancer } = await start(() => String(asked++), roundRobin());
    await (await orders.request("/")).body.dump();
    assert.equal(asked, 0);
    const shadow = orders.shadow(balancer);
    await (await orders.request("/")).body.dump();
    shadow.stop();
    await (await orders.request("/")).body.dump();
    assert.deepEqual([asked, keys], [1, ["0"]]);
  });

  it("fails the call, and nothing else, when its function throws", async () => {
    const { orders } = await start(() => {
      throw new Error("no key today");
    });
    await assert.rejects(orders.request("/"), /no key today/);
    assert.equal(orders.endpoints[0]?.load.inFlight ?? 0, 0);
  });

  it("is refused by name when it is none", () => {
    for (const key of [{}, { header: "" }, { header: "a b" }, { path: -1 }, { header: "a", path: 1 }, 7]) {
      assert.throws(
        () => createResolver({ registry: staticRegistry([]), key: key as never }),
        (error) => DiscoveryError.is(error, "INVALID_OPTION") && /^resolver\.key must be/.test(error.message),
      );
    }
  });
});

describe("the headers of a request", () => {
  const forms = (): readonly [string, never][] => [
    ["an array", ["Accept", "a", "X-User", "ann"] as never],
    ["an object", { Accept: "a", "X-User": "ann" } as never],
    ["an object with lists", { Accept: "a", "X-User": ["ann", "bob"] } as never],
    ["a map", new Map(Object.entries({ Accept: "a", "X-User": "ann" })) as never],
    ["Headers", new Headers({ Accept: "a", "X-User": "ann" }) as never],
  ];

  it("are read in every form undici takes, whatever their case", () => {
    for (const [form, headers] of forms()) {
      assert.equal(headerOf(headers, "x-user"), "ann", form);
      assert.equal(headerOf(headers, "x-none"), undefined, form);
    }
    for (const none of [undefined, null]) assert.equal(headerOf(none, "x-user"), undefined);
  });

  it("take one more, in place of one of that name", () => {
    for (const [form, headers] of forms()) {
      const more = withHeader(withHeader(headers, "x-user", "cleo"), "x-more", "1");
      assert.deepEqual(
        [headerOf(more, "x-user"), headerOf(more, "x-more"), headerOf(more, "accept")],
        ["cleo", "1", "a"],
        form,
      );
      assert.equal(headerOf(headers, "x-user"), "ann", "what was given stays as it is");
    }
    assert.deepEqual(withHeader(undefined, "x-more", "1"), { "x-more": "1" });
  });
});

async function start(key: KeyRule, live?: Balancer) {
  const backend = await startBackend();
  opened.push(backend);
  const keys: (string | undefined)[] = [];
  const balancer: Balancer = {
    name: "notes-keys",
    create: () => {
      let usable: readonly Endpoint[] = [];
      return {
        update: (_all, now) => {
          usable = now;
        },
        pick: (context) => {
          if (usable.length > 0) keys.push(context?.key as string | undefined);
          return usable[0];
        },
      };
    },
  };
  const registry = staticRegistry([{ service: "orders", host: "127.0.0.1", port: backend.port }]);
  const resolver = createResolver({ registry, key, balancer: live ?? balancer });
  opened.push(resolver);
  const orders = resolver.service("orders");
  while (orders.usable.length === 0) await new Promise((resolve) => setImmediate(resolve));
  return { resolver, orders, keys, balancer };
}
