import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, describe, it } from "vitest";
import { connect } from "../src/connect.js";
import { createAgent, DiscoveryError, type RegistryUpdate } from "../src/index.js";
import { isRegistrar } from "../src/registry/registry.js";
import { startBackend } from "./fakes/backend.js";

const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  delete process.env["MCP_REGISTRY_TOKEN"];
  for (const each of opened.splice(0)) await each.close();
});

describe("connect", () => {
  it("speaks to Consul where a consul:// URL says, about its datacenter, with its token", async () => {
    const { asked, port } = await start();
    await list(`consul://127.0.0.1:${port}?dc=eu&token=secret`);
    assert.deepEqual(asked, [["/v1/health/service/orders?dc=eu", "secret"]]);
  });

  it("takes the token from the environment where the URL has none", async () => {
    const { asked, port } = await start();
    process.env["MCP_REGISTRY_TOKEN"] = "from the environment";
    await list(`consul://127.0.0.1:${port}`);
    assert.deepEqual(asked, [["/v1/health/service/orders", "from the environment"]]);
  });

  it("speaks TLS for consul+https://", async () => {
    const { port } = await start();
    await assert.rejects(list(`consul+https://127.0.0.1:${port}`), /Consul https:.*no TLS.*\(PROTOCOL\)/);
  });

  it("says that a URL is a string, and several are one string", () => {
    for (const given of [new URL("http://a.internal"), ["http://a.internal", "http://b.internal"]]) {
      assert.throws(() => connect("registry", given as never), /a URL as a string, several with commas between them/);
    }
  });

  it("goes to port 8500 unless told otherwise", () => {
    const { registry, host } = open("consul://consul.internal");
    assert.deepEqual([registry.name, host], ["Consul http://consul.internal:8500", "consul.internal"]);
  });

  it("speaks to every etcd that an etcd:// URL names, at port 2379 unless told otherwise", () => {
    const { registry, host } = open("etcd://a.internal,b.internal:2380,[::1]:80/team");
    assert.equal(registry.name, "etcd http://a.internal:2379,http://b.internal:2380,http://[::1]");
    assert.equal(host, "a.internal");
  });

  it("takes hosts with commas between them for nodes of one registry of ours, and URLs for several registries", () => {
    assert.equal(
      open("http://a.internal:1,b.internal:2").registry.name,
      "registry http://a.internal:1,http://b.internal:2",
    );
    const several = open("http://a.internal:1,b.internal:2,http://c.internal:3").registry.name;
    assert.equal(several, "registry http://a.internal:1,http://b.internal:2, else registry http://c.internal:3");
    assert.throws(() => open("http://a.internal:1,b.internal:2/path"), /several hosts with commas/);
  });

  it("keeps to the prefix in an etcd:// URL, and says who it is", async () => {
    const asked: [string | undefined, string | undefined, string][] = [];
    const backend = await startBackend(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += String(chunk);
      asked.push([request.url, request.headers.authorization, body]);
      const token = request.url === "/v3/auth/authenticate" ? { token: "T" } : {};
      response.end(JSON.stringify({ header: { revision: "7" }, succeeded: true, responses: [{}, {}, {}], ...token }));
    });
    opened.push(backend);
    await list(`etcd://ann:p%40ss@127.0.0.1:${backend.port}/team/a`);
    assert.deepEqual(asked[0], ["/v3/auth/authenticate", undefined, '{"name":"ann","password":"p@ss"}']);
    assert.deepEqual(asked[1]?.slice(0, 2), ["/v3/kv/txn", "T"]);
    assert.ok(asked[1]?.[2].includes(Buffer.from("/team/a/epoch").toString("base64")));
  });

  it("speaks TLS for etcd+https://", async () => {
    const { port } = await start();
    await assert.rejects(list(`etcd+https://127.0.0.1:${port}`), /etcd https:.*no TLS.*\(PROTOCOL\)/);
  });

  it("speaks to Eureka where an eureka:// URL says, with its user and password", async () => {
    const asked: unknown[] = [];
    const backend = await startBackend((request, response) => {
      asked.push([request.url, request.headers.authorization]);
      response.end('{"application":{"instance":[]}}');
    });
    opened.push(backend);
    await list(`eureka://sam:s%40crt@127.0.0.1:${backend.port}/registry/eureka/`);
    const basic = `Basic ${Buffer.from("sam:s@crt").toString("base64")}`;
    assert.deepEqual(asked, [["/registry/eureka/apps/ORDERS", basic]]);
  });

  it("goes to port 8761 and /eureka unless told otherwise, and to peers by the same path", () => {
    assert.equal(open("eureka://a.internal").registry.name, "Eureka http://a.internal:8761/eureka");
    const { name } = open("eureka+https://u:p@a:1/eureka/v2?peers=b,c:2").registry;
    assert.equal(name, "Eureka https://a:1/eureka/v2, https://b:8761/eureka/v2, https://c:2/eureka/v2");
  });

  it("reads a file where a file: URL says, from here or from the root", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mcp-discovery-connect-"));
    opened.push({ close: async () => rmSync(folder, { recursive: true }) });
    const path = join(folder, "my services.json");
    writeFileSync(path, '[{"service":"orders","host":"10.0.0.1","port":80}]');
    for (const url of [
      pathToFileURL(path).href,
      `file:${relative(process.cwd(), path)}`,
      `file:./${relative(".", path)}`,
    ])
      assert.equal((await list(url)).type, "reset", url);
    assert.throws(
      () => createAgent({ service: "orders", port: 80, registry: pathToFileURL(path).href }),
      /UNSUPPORTED/,
    );
  });

  it("asks the name server a dns:// URL names", () => {
    assert.equal(open("dns://127.0.0.1:5353/discovery.test").registry.name, "DNS 127.0.0.1:5353");
    assert.equal(open("dns://[::1]/discovery.test?type=a&port=80&tcp=true").registry.name, "DNS [::1]:53");
    assert.match(open("dns:///discovery.test").registry.name, /^DNS .+:\d+$/);
    for (const url of ["dns://h", "dns://h/d?type=mx", "dns://h/d?type=a", "dns://h/d?tcp=1", "dns://u:p@h/d"])
      assert.throws(() => open(url), /INVALID_OPTION/, url);
  });

  it("names what was given, not an adapter's option, when a URL says something wrong", () => {
    const wrong: readonly [string, RegExp][] = [
      [
        "dns://10.0.0.1",
        /^registry must be dns:\/\/host:53\/domain, with the domain .* got "dns:\/\/10\.0\.0\.1" \(INVALID_OPTION\)$/,
      ],
      [
        "dns://h/d?type=mx",
        /^registry "dns:\/\/h\/d\?…": dns\.type must be one of srv, a, got "mx" \(INVALID_OPTION\)$/,
      ],
    ];
    for (const [url, message] of wrong) assert.throws(() => open(url), { field: "registry", message }, url);
    assert.match(open("dns://h?name={service}.internal").registry.name, /^DNS h:53$/);
  });

  it("asks for the scheme where a host and its port stand alone", () => {
    const meant: readonly [string, string][] = [
      ["127.0.0.1:8761", "http://127.0.0.1:8761"],
      ["localhost:8761/base", "http://localhost:8761/base"],
      ["[::1]:8761", "http://[::1]:8761"],
      ["consul.internal:8500", "consul://consul.internal:8500"],
      ["etcd:2379", "etcd://etcd:2379"],
    ];
    for (const [given, url] of meant) {
      const message = `registry must be a URL, got "${given}": did you mean "${url}"? (INVALID_OPTION)`;
      assert.throws(() => open(given), { field: "registry", message });
    }
    assert.throws(
      () => open("user:secret@host:1"),
      (error) => !/secret|did you mean/.test(String(error)),
    );
    assert.throws(
      () => open("localhost:8500/?token=secret"),
      (error) => /did you mean "consul:.*localhost:8500/.test(String(error)) && !/secret/.test(String(error)),
    );
  });

  it("takes several URLs for registries in the order of preference", async () => {
    const { asked, port } = await start();
    const url = `consul://127.0.0.1:9,consul://127.0.0.1:${port}, http://127.0.0.1:9`;
    const { registry } = open(url);
    assert.match(registry.name, /^Consul .*:9, else Consul .*, else registry /);
    assert.ok(isRegistrar(registry));
    await list(url);
    assert.equal(asked.length, 1);
  });

  for (const url of [
    "etcd://u:secret@h?tokem=secret",
    "etcd://h,/x?token=secret",
    "etcd://u:se/secret@h:2379",
    "etcd://u%zz:secret@h",
    "nacos://u:p?secret@h:1",
    "http://u:p#secret@h/ x",
    "consul://h,i?token=secret",
    "eureka://sam:secret@h?interval=3",
    "eureka://sam:secret@h?peers=b/eureka",
    "eureka:///eureka?peers=secret",
    "file:services.json?token=secret",
    "file://secret@host/services.json",
    "http://h:1,nonsense://h?token=secret",
    "consul://h?token=secret&datacenter=eu",
    "consul://u:secret@h",
    "consul://h/v1?token=secret",
    "consull://h?token=secret",
  ]) {
    it(`refuses ${url.replaceAll("secret", "…")}, and keeps the secret to itself`, () => {
      assert.throws(
        () => open(url),
        (error) => DiscoveryError.is(error, "INVALID_OPTION") && !error.message.includes("secret"),
      );
    });
  }
});

describe("connect, to Nacos", () => {
  it("speaks about the namespace and group of a nacos:// URL, logged in as its user", async () => {
    const { asked, port } = await startNacos();
    await list(`nacos://ann:p%40ss@127.0.0.1:${port}/blue?group=shop&cluster=C1`);
    assert.deepEqual(asked, [
      "/nacos/v3/auth/user/login username=ann&password=p%40ss",
      "/nacos/v1/ns/instance/list?serviceName=mcp-discovery&namespaceId=blue&groupName=shop ",
      "/nacos/v3/client/ns/instance/list?serviceName=orders&namespaceId=blue&groupName=shop&clusterName=C1%2CDEFAULT ",
    ]);
  });

  it("takes the password from the environment where the URL has but a user", async () => {
    const { asked, port } = await startNacos();
    process.env["MCP_REGISTRY_TOKEN"] = "from the environment";
    await list(`nacos://ann@127.0.0.1:${port}`);
    assert.match(String(asked[0]), /password=from\+the\+environment/);
  });

  it("goes to port 8848 unless told otherwise, and speaks TLS for nacos+https://", () => {
    const { registry, host } = open("nacos+https://nacos.internal/blue");
    assert.equal(registry.name, "Nacos https://nacos.internal:8848, namespace blue");
    assert.equal(host, "nacos.internal");
  });

  it("takes hosts with commas between them for servers of one cluster", async () => {
    const { registry } = open("nacos+https://ann@a,[::1]:7,c:443/blue");
    assert.equal(registry.name, "Nacos https://a:8848,https://[::1]:7,https://c, namespace blue");
    const { asked, port } = await startNacos();
    await list(`nacos://127.0.0.1:1,127.0.0.1:${port}/blue`);
    assert.equal(asked.length, 2);
  });

  it("is pushed to unless the URL says otherwise", () => {
    const watch = (query: string): string => open(`nacos://h:1,i:2?${query}`).registry.capabilities.watch;
    assert.deepEqual(["push=false", "push=true", "grpcPort=9848"].map(watch), ["poll", "stream", "stream"]);
  });

  it("names the parameter that is wrong", () => {
    for (const query of ["push=no", "push=", "grpcPort=0", "grpcPort=65536", "grpcPort=9848x", "grpcPort="]) {
      const [, name, value] = /^(\w+)=(.*)$/.exec(query) ?? [];
      const message = new RegExp(`^registry: ${name} must be .*, got "${value}"`);
      assert.throws(() => open(`nacos://u:secret@h?${query}`), { code: "INVALID_OPTION", message });
    }
    assert.throws(() => open("nacos://h?grpcTls=true"), /grpcTls/);
  });

  for (const url of [
    "nacos://u:secret@h,/a",
    "nacos://u:secret@h,i/j/a",
    "nacos://u:secret@h,v:secret@i",
    "nacos://u:secret@h,i:99999",
    "nacos://u:secret@h/a/b",
    "nacos://u:secret@h?groop=g",
    "nacos://u:%secret@h",
    "nacos://:secret@",
  ]) {
    it(`refuses ${url.replaceAll("secret", "…")}, and keeps the secret to itself`, () => {
      assert.throws(
        () => open(url),
        (error) => error instanceof Error && !error.message.includes("secret"),
      );
    });
  }
});

async function startNacos() {
  const asked: string[] = [];
  const backend = await startBackend((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += String(chunk);
    });
    request.on("end", () => {
      asked.push(`${request.url} ${body}`);
      if (request.url?.startsWith("/nacos/v1/")) response.writeHead(410); // it is a 3.1
      response.end('{"code":0,"message":"success","data":[],"accessToken":"t","tokenTtl":18000}');
    });
  });
  opened.push(backend);
  return { asked, port: backend.port };
}

async function start() {
  const asked: unknown[] = [];
  const backend = await startBackend((request, response) => {
    asked.push([request.url, request.headers["x-consul-token"]]);
    response.writeHead(200, { "x-consul-index": "7" }).end("[]");
  });
  opened.push(backend);
  return { asked, port: backend.port };
}

function open(url: string) {
  const connection = connect("registry", url);
  opened.push({ close: connection.release });
  return connection;
}

async function list(url: string): Promise<RegistryUpdate> {
  const { registry } = open(url);
  assert.ok("list" in registry);
  return registry.list("orders", { signal: new AbortController().signal });
}
