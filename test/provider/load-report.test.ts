import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, it } from "vitest";
import { adaptive, createResolver, reportLoad, roundRobin, staticRegistry } from "../../src/index.js";
import { utilizationIn } from "../../src/runtime/load-header.js";

describe("reportLoad", () => {
  const ends: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0)) await end();
  });

  it("tells with every answer how much is taken: of the event loop, or of what can be in flight", async () => {
    const { port, server } = await serve((_request, response) => response.end("ok"));
    const stop = reportLoad(server, { capacity: 2 });
    const { headers } = await fetch(`http://127.0.0.1:${port}/`);
    assert.match(headers.get("endpoint-load-metrics") ?? "", /^TEXT application_utilization=(0\.[5-9]\d\d|1\.000)$/);
    stop();
    assert.equal((await fetch(`http://127.0.0.1:${port}/`)).headers.get("endpoint-load-metrics"), null);
  });

  it("is heard by an adaptive balancer that was told to, until another takes its place", async () => {
    const { port, server } = await serve((_request, response) => response.end("ok"));
    reportLoad(server, { capacity: 1 });
    const resolver = createResolver({
      registry: staticRegistry([{ service: "orders", host: "127.0.0.1", port }]),
      balancer: adaptive({ reportedLoad: true }),
    });
    ends.push(() => resolver.close());
    const orders = resolver.service("orders");
    await (await orders.fetch("/")).text();
    const { shared, place } = orders.endpoints[0]!.load;
    assert.equal(shared.reports?.[2 * place], 1);
    orders.setBalancer(roundRobin());
    assert.equal(shared.reports, undefined, "nobody looks at the header any more");
    await (await orders.fetch("/")).text();
    assert.equal(shared.reports, undefined);
  });

  it("refuses a capacity that is none", () => {
    assert.throws(() => reportLoad(createServer(), { capacity: 0 }), /reportLoad\.capacity must be a number from 1/);
    assert.throws(() => adaptive({ reportedLoads: true } as never), /did you mean reportedLoad\?/);
  });

  async function serve(answer: RequestListener) {
    const server = createServer(answer).listen(0, "127.0.0.1");
    await once(server, "listening");
    ends.push(() => server.close());
    return { server, port: (server.address() as AddressInfo).port };
  }
});

describe("utilizationIn", () => {
  const heard = (value: string, name = "endpoint-load-metrics") =>
    utilizationIn([Buffer.from("date"), Buffer.from("now"), Buffer.from(name), Buffer.from(value)]);

  it("reads one metric among others, whatever the header's case", () => {
    assert.equal(heard("TEXT application_utilization=0.25", "Endpoint-Load-Metrics"), 0.25);
    assert.equal(
      heard("TEXT rps_fractional=10, application_utilization=7.5,eps=1"),
      1,
      "more than all of it is all of it",
    );
  });

  it("hears nothing in what it cannot read", () => {
    for (const value of ["", "TEXT", "TEXT cpu_utilization=0.5", "TEXT application_utilization=-1", "BIN AAAA"])
      assert.equal(heard(value), undefined, value);
    assert.equal(heard("TEXT application_utilization=0.5", "x-load"), undefined);
    assert.equal(utilizationIn([Buffer.from("endpoint-load-metrics")]), undefined);
  });
});
