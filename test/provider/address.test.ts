import assert from "node:assert/strict";
import type { NetworkInterfaceInfo } from "node:os";
import { describe, it } from "vitest";
import { DiscoveryError } from "../../src/index.js";
import { type AddressSources, advertisedAddress } from "../../src/provider/address.js";
import { addressOfThisMachine } from "../../src/provider/route.js";
import { ManualClock } from "../../src/testing/index.js";

const LAN = { eth0: [ipv4("10.0.0.5")] };

describe("advertisedAddress", () => {
  it("takes what was told before what it sees: the option, then the environment", () => {
    const env = { MCP_ADVERTISE_HOST: "public.example", POD_IP: "10.1.0.9" };
    const seen = { registryHost: "10.0.0.1", route: "10.0.0.5", interfaces: LAN };
    assert.deepEqual(chosen({ ...seen, env, option: "Orders.Example" }), ["orders.example", "option"]);
    assert.deepEqual(chosen({ ...seen, env }), ["public.example", "MCP_ADVERTISE_HOST"]);
    assert.deepEqual(chosen({ ...seen, env: { POD_IP: "10.1.0.9" } }), ["10.1.0.9", "POD_IP"]);
    assert.deepEqual(chosen({ ...seen, env: { MCP_ADVERTISE_HOST: "", POD_IP: "" } }), ["10.0.0.5", "route"]);
  });

  it("names the variable that holds no host", () => {
    assert.throws(() => chosen({ env: { MCP_ADVERTISE_HOST: "0.0.0.0" } }), /MCP_ADVERTISE_HOST must be an IPv4/);
  });

  it("takes the way to the registry before any interface, so that no bridge of Docker is advertised", () => {
    const interfaces = { docker0: [ipv4("172.17.0.1")], ...LAN };
    assert.deepEqual(chosen({ registryHost: "10.0.0.1", route: "10.0.0.5", interfaces }), ["10.0.0.5", "route"]);
    assert.deepEqual(chosen({ registryHost: "10.0.0.1", interfaces }), ["10.0.0.5", "interface"]);
  });

  it("takes the address the server is bound to: nobody reaches it elsewhere", () => {
    const seen = { registryHost: "10.0.0.1", route: "10.0.0.5", interfaces: LAN };
    assert.deepEqual(chosen({ ...seen, bound: "10.0.0.6" }), ["10.0.0.6", "server"]);
    const apart = { registryHost: undefined, interfaces: seen.interfaces };
    assert.deepEqual(chosen({ ...apart, bound: "127.0.0.1" }), ["127.0.0.1", "server"], "of a registry's value");
    assert.deepEqual(chosen({ ...seen, bound: "::" }), ["10.0.0.5", "route"]);
    assert.deepEqual(chosen({ ...seen, bound: "0.0.0.0" }), ["10.0.0.5", "route"]);
    assert.deepEqual(chosen({ ...seen, bound: "127.0.0.1" }), ["10.0.0.5", "route"], "a proxy may stand before it");
  });

  it("takes loopback where the registry is on loopback, by address or by name", () => {
    for (const registryHost of ["127.0.0.1", "localhost", "[::1]", "127.1.2.3"])
      assert.deepEqual(chosen({ registryHost, interfaces: LAN }), ["127.0.0.1", "loopback"]);
    const named = { registryHost: "registry.internal", route: "127.0.0.1", interfaces: LAN };
    assert.deepEqual(chosen(named), ["127.0.0.1", "loopback"], "a name that leads to this machine");
    assert.deepEqual(chosen({ registryHost: "localhost", bound: "::1", interfaces: {} }), ["::1", "server"]);
  });

  it("never takes loopback for a registry elsewhere: it waits for a network", () => {
    const lo = { lo: [{ ...ipv4("127.0.0.1"), internal: true }] };
    const isWaiting = (error: unknown): boolean => DiscoveryError.is(error, "UNAVAILABLE") && error.retryable;
    assert.throws(() => chosen({ registryHost: "10.0.0.1", interfaces: lo }), isWaiting);
    assert.deepEqual(chosen({ interfaces: lo }), ["127.0.0.1", "loopback"], "a registry inside this process");
  });

  it("never takes a link-local address", () => {
    const interfaces = { eth0: [ipv4("169.254.3.4"), ipv6("fe80::1"), ipv6("2001:db8::7")] };
    assert.deepEqual(chosen({ registryHost: "10.0.0.1", route: "169.254.3.4", interfaces }), [
      "2001:db8::7",
      "interface",
    ]);
    assert.deepEqual(chosen({ bound: "fe80::1%eth0", interfaces }), ["2001:db8::7", "interface"]);
  });

  it("takes IPv4 before IPv6, and bridges last", () => {
    const interfaces = {
      "br-12ab": [ipv4("172.18.0.1")],
      eth0: [ipv6("2001:db8::7"), ipv4("10.0.0.5")],
      eth1: [ipv4("192.168.1.5")],
    };
    const { candidates } = advertisedAddress({ env: {}, registryHost: "10.9.9.9", interfaces });
    const hosts = candidates.map(({ host }) => host);
    assert.deepEqual(hosts, ["10.0.0.5", "192.168.1.5", "2001:db8::7", "172.18.0.1"]);
  });

  it("names each candidate once, where it was seen first", () => {
    const { candidates } = advertisedAddress({
      env: { POD_IP: "10.0.0.5" },
      registryHost: "10.0.0.1",
      route: "10.0.0.5",
      interfaces: LAN,
    });
    assert.deepEqual(candidates, [{ host: "10.0.0.5", from: "POD_IP" }]);
  });
});

describe("addressOfThisMachine", () => {
  it("asks the kernel for the way to the registry", async () => {
    const scope = { clock: new ManualClock(), random: () => 0, signal: new AbortController().signal };
    const known = { option: undefined, bound: undefined };
    const { host, from } = await addressOfThisMachine({ ...known, registryHost: "127.0.0.1" }, scope);
    assert.deepEqual([host, from], ["127.0.0.1", "loopback"]);
    const told = await addressOfThisMachine({ ...known, option: "10.9.8.7", registryHost: "no.such.host" }, scope);
    assert.equal(told.host, "10.9.8.7", "without looking anything up");
  });
});

function chosen(sources: Partial<AddressSources>): [string, string] {
  const { host, from } = advertisedAddress({ env: {}, interfaces: {}, ...sources });
  return [host, from];
}

function ipv4(address: string): NetworkInterfaceInfo {
  return { family: "IPv4", address, internal: false, netmask: "", mac: "", cidr: null };
}

function ipv6(address: string): NetworkInterfaceInfo {
  return { family: "IPv6", address, internal: false, netmask: "", mac: "", cidr: null, scopeid: 0 };
}
