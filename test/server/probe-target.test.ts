import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { DiscoveryError } from "../../src/model/errors.js";
import { hostName } from "../../src/model/fields.js";
import { AddressSet, networkOf, unwrapped } from "../../src/server/addresses.js";
import { ProbeRules, probeTarget } from "../../src/server/probe-target.js";

const rules = new ProbeRules();

describe("probeTarget", () => {
  it("keeps the parts that were registered, whatever they are", () => {
    const target = probeTarget("health_check", at("10.0.0.7", 8_080), "/health", { rules, local: false });
    assert.deepEqual(target, { host: "10.0.0.7", port: 8_080, path: "/health", scheme: "http", local: false });
    for (const host of ["orders.internal", "xn--bcher-kva.example", "2001:db8::7"]) {
      assert.equal(probeTarget("health_check", at(host, 443, "https"), "/", { rules, local: false }).scheme, "https");
    }
    assert.equal(probeTarget("health_check", at("10.0.0.7", 80, "grpc"), "/", { rules, local: false }).scheme, "tcp");
  });

  it("is never made of a host that a URL reads as another, even if somebody let it through", () => {
    const tricks = [
      ..."evil.com/x|evil.com#|evil.com?x|evil.com\\x|a@b|a:b@c|evil.com:80|[::1]|[::1|::1]|fe80::1%eth0|fe80::1%25eth0".split(
        "|",
      ),
      ..."2130706433|0x7f000001|0x7f.1|0177.0.0.1|127.1|127.0.1|0|0x0|00000127.0.0.1|127.0.0.1.".split("|"),
      ..."１２７.0.0.1|127。0。0。1|ⓔvil.com|ＥＶＩＬ.com|①②⑦.0.0.1|evil。com".split("|"),
      ...["a b", "a\r\nb", "a\tb", " a", "a ", "a\u0000b", "a\u00adb", "a%2eb", "%31%32%37.0.0.1", "", "ev\u0130l.com"],
    ];
    for (const host of tricks) {
      assert.throws(() => hostName("host", host), { field: "host" }, `hostName took ${JSON.stringify(host)}`);
      assert.equal(whyNot(host), "differs", JSON.stringify(host));
    }
  });

  it("is refused where secrets or crowds live, bare or wrapped", () => {
    const dotted = ["169.254.169.254", "169.254.0.1", "100.100.100.200", "168.63.129.16", "0.0.0.0", "0.1.2.3"];
    const many = ["224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"];
    const six = ["fe80::1", "febf::1", "fec0::1", "::", "ff02::1", "fd00:ec2::254", "fd20:ce::254", "64:ff9b:1::a00:1"];
    for (const host of [...dotted, ...many].flatMap((each) => [each, ...wrappingsOf(each)]).concat(six)) {
      assert.equal(whyNot(host, { local: true }), "denied", host);
    }
  });

  it("takes the private networks in which services live, bare or wrapped", () => {
    const hosts = ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "8.8.8.8"];
    for (const host of [...hosts.flatMap((each) => [each, ...wrappingsOf(each)]), "fd12::1", "2001:db8::1"]) {
      assert.equal(whyNot(host), undefined, host);
    }
  });

  it("is this machine only for whoever registers from this machine", () => {
    const loopback = ["127.0.0.1", "127.255.0.1", "::1"];
    for (const host of loopback.flatMap((each) => [each, ...(each.includes(":") ? [] : wrappingsOf(each))])) {
      assert.equal(whyNot(host), "denied", host);
      assert.equal(whyNot(host, { local: true }), undefined, host);
    }
  });

  it("leaves the system's ports alone", () => {
    for (const port of [1, 22, 25, 79, 81, 442, 444, 1_023])
      assert.equal(whyNot("10.0.0.1", { port }), "denied", String(port));
    for (const port of [80, 443, 1_024, 65_535]) assert.equal(whyNot("10.0.0.1", { port }), undefined, String(port));
  });

  it("follows only the list where there is one", () => {
    const allow = new AddressSet("allow", ["10.1.0.0/16", "169.254.7.7", "fd00::/64", "127.0.0.1/32"]);
    const only = new ProbeRules(allow);
    for (const host of ["10.1.2.3", "::ffff:a01:203", "169.254.7.7", "fd00::5", "127.0.0.1"]) {
      assert.equal(whyNot(host, { rules: only, port: 22 }), undefined, host);
    }
    for (const host of ["10.2.0.1", "169.254.7.8", "fd00:0:0:1::5", "127.0.0.2", "64:ff9b::a02:1", "8.8.8.8"]) {
      assert.equal(whyNot(host, { rules: only }), "denied", host);
    }
  });
});

describe("AddressSet", () => {
  it("refuses what is no range", () => {
    for (const range of [
      "10.0.0.0/33",
      "10.0.0.0/",
      "10.0.0/8",
      "::/129",
      "a",
      "",
      "10.0.0.0/8/8",
      "10.0.0.0/-1",
      7,
      null,
    ]) {
      assert.throws(() => new AddressSet("allow", [range as string]), { field: "allow[0]" }, String(range));
    }
    assert.throws(() => new AddressSet("allow", "10.0.0.0/8" as unknown as string[]), { field: "allow" });
  });
});

describe("unwrapped", () => {
  it("finds the IPv4 address to which each wrapping leads", () => {
    for (const wrapped of wrappingsOf("192.0.2.33")) assert.equal(unwrapped(wrapped), "192.0.2.33", wrapped);
    for (const plain of ["192.0.2.33", "::1", "::", "2001:db8::1", "2003::1", "name"])
      assert.equal(unwrapped(plain), plain);
  });
});

describe("networkOf", () => {
  it("takes all IPv6 addresses of one network for one registrant", () => {
    assert.equal(networkOf("2001:db8:0:7::1"), networkOf("2001:db8:0:7:1:2:3:4"));
    assert.notEqual(networkOf("2001:db8:0:7::1"), networkOf("2001:db8:0:8::1"));
    assert.equal(networkOf("fe80::1%eth0"), networkOf("fe80::2"));
    assert.equal(networkOf("::ffff:10.0.0.1"), "10.0.0.1");
  });
});

function at(host: string, port = 8_080, protocol: "http" | "https" | "grpc" = "http") {
  return { host, port, protocol };
}

/** Why there is no target: its parts would lead elsewhere, or a rule forbids it. */
function whyNot(host: string, { local = false, port = 8_080, rules: used = rules } = {}): string | undefined {
  try {
    probeTarget("health_check", at(host, port), "/health", { rules: used, local });
    return undefined;
  } catch (error) {
    assert.ok(DiscoveryError.is(error, "INVALID_OPTION"));
    assert.equal(error.field, "health_check");
    return error.message.includes("would lead elsewhere") ? "differs" : "denied";
  }
}

/** An IPv4 address as every IPv6 address that leads to it. */
function wrappingsOf(dotted: string): string[] {
  const [a = 0, b = 0, c = 0, d = 0] = dotted.split(".").map(Number);
  const high = ((a << 8) | b).toString(16);
  const low = ((c << 8) | d).toString(16);
  const inverted = `${(0xffff - ((a << 8) | b)).toString(16)}:${(0xffff - ((c << 8) | d)).toString(16)}`;
  const compatible = a === 0 && b === 0 ? [] : [`::${high}:${low}`, `::${dotted}`];
  return [
    `::ffff:${dotted}`,
    `::ffff:${high}:${low}`,
    `0:0:0:0:0:FFFF:${high}:${low}`,
    `::ffff:0:${high}:${low}`,
    `64:ff9b::${high}:${low}`,
    `64:ff9b::${dotted}`,
    `2002:${high}:${low}::1`,
    `2001:0:4136:e378:8000:63bf:${inverted}`,
    ...compatible,
  ].map((each) => new URL(`http://[${each}]`).hostname.slice(1, -1));
}
