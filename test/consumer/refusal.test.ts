import assert from "node:assert/strict";
import { afterEach, describe, it } from "vitest";
import { createResolver, DiscoveryError, type ErrorCode, type Service } from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { scriptedRegistry, snapshot } from "../fakes/scripted-registry.js";

const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

describe("a call before the first list", () => {
  for (const code of ["UNAUTHORIZED", "REJECTED", "PROTOCOL"] as const) {
    it(`fails at once with the registry's own error when that is ${code}`, async () => {
      const { orders, clock } = start(code);
      const failed = outcome(orders);
      await clock.advance(0);
      assert.match(await failed, new RegExp(`^scripted does not tell of "orders": it says no \\(${code}\\)$`));
    });
  }

  it("waits while the registry is merely away", async () => {
    const { orders, clock } = start("UNAVAILABLE");
    let said = "";
    void outcome(orders).then((text) => {
      said = text;
    });
    await clock.advance(4_900);
    assert.equal(said, "");
    await clock.advance(200);
    assert.match(said, /has not told of "orders" within 5000 ms: it says no \(UNAVAILABLE\)/);
  });

  it("asks once more when it was refused a second ago: somebody may have given us the right", async () => {
    const { orders, scripted, clock } = start("UNAUTHORIZED");
    await clock.advance(60_000);
    const asked = scripted.asked.length;
    for (let call = 0; call < 10; call++) assert.match(await outcome(orders), /UNAUTHORIZED/);
    assert.ok(scripted.asked.length <= asked + 1, "ten calls at once are one question");
    await clock.advance(1_000);
    scripted.list = async () => snapshot(1, [3_000]);
    assert.equal(await outcome(orders), "3000");
  });

  it("waits again when the registry that refused is away since", async () => {
    const { orders, clock, fails } = start("UNAUTHORIZED");
    await clock.advance(0);
    fails("UNAVAILABLE");
    await clock.advance(60_000);
    let said = "";
    void outcome(orders).then((text) => {
      said = text;
    });
    await clock.advance(4_900);
    assert.equal(said, "");
    await clock.advance(200);
    assert.match(said, /UNAVAILABLE/);
  });
});

describe("a registry that refuses", () => {
  it("is asked ever less often, up to half a minute: it is there, and not waited for", async () => {
    const { scripted, clock } = start("UNAUTHORIZED");
    await clock.advance(600_000);
    scripted.asked.length = 0;
    await clock.advance(600_000);
    const asked = scripted.asked.length;
    assert.ok(asked >= 30 && asked <= 60, `${asked} times in ten minutes`);
  });
});

async function outcome(orders: Service): Promise<string> {
  return orders.pick().then(
    ({ instance }) => String(instance.port),
    (error: Error) => error.message,
  );
}

function start(code: ErrorCode) {
  const clock = new ManualClock();
  const scripted = scriptedRegistry();
  const fails = (with_: ErrorCode): void => {
    scripted.list = async () => {
      throw new DiscoveryError(with_, "it says no");
    };
  };
  fails(code);
  const resolver = createResolver({ registry: scripted.registry, clock, random: () => 0.5 });
  opened.push(resolver);
  return { orders: resolver.service("orders"), scripted, clock, fails };
}
