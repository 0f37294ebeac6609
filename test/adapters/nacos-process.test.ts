import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { ServerCredentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, it } from "vitest";
import { LOOPBACK } from "../fakes/identity.js";
import { startFakeNacos } from "../fakes/nacos.js";
import { startFakeNacosGrpc } from "../fakes/nacos-grpc.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);
const scratch = mkdtempSync(join(tmpdir(), "mcp-discovery-nacos-"));

beforeAll(() => {
  execFileSync("node", [".ci/ready.mjs"], { cwd: ROOT });
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe("nacos(), in a process of its own", () => {
  it("polls where @grpc/grpc-js is not installed, and says so", async () => {
    mkdirSync(join(scratch, "node_modules"));
    for (const each of ["undici", "p-retry", "is-network-error", "eventemitter3"]) {
      symlinkSync(join(ROOT, "node_modules", each), join(scratch, "node_modules", each));
    }
    cpSync(join(ROOT, "dist"), join(scratch, "dist"), { recursive: true });
    writeFileSync(join(scratch, "package.json"), '{"type":"module"}');
    const bare = pathToFileURL(join(scratch, "dist/adapters/nacos.js")).href;
    const printed = await script(`
      const { nacos } = await import("${bare}");
      console.log(nacos().capabilities.watch, nacos({ push: false }).capabilities.watch);
      try { nacos({ push: true }); } catch ({ code, message }) { console.log(code, message); }
    `);
    assert.match(printed, /^poll poll\nINVALID_OPTION .*nacos\.push.*@grpc\/grpc-js is installed/);
  });

  it("is not kept alive by a connection that is open, and loads no gRPC before something is watched", async () => {
    const [http, grpc] = [await startFakeNacos({ api: "v1" }), await startFakeNacosGrpc()];
    try {
      const printed = await script(`
        const { createRequire } = await import("node:module");
        const { nacos } = await import("${adapter()}");
        const isLoaded = () => Object.keys(createRequire("${ROOT}/x.js").cache).some((each) => each.includes("grpc-js"));
        const registry = nacos({ url: "${http.url}", grpcPort: ${grpc.port} });
        console.log(registry.capabilities.watch, isLoaded());
        const hold = setInterval(() => {}, 1_000);
        const signs = registry.watch("orders", { signal: new AbortController().signal })[Symbol.asyncIterator]();
        while ((await signs.next()).value.type !== "current") {}
        clearInterval(hold);
        console.log(isLoaded());
        void signs.next();
      `);
      assert.equal(printed, "stream false\ntrue\n");
    } finally {
      grpc.close();
      await http.close();
    }
  });

  it("speaks TLS on the port that pushes, and believes whom Node believes", async () => {
    const { key, cert } = LOOPBACK;
    const identity = [{ private_key: Buffer.from(key), cert_chain: Buffer.from(cert) }];
    const grpc = await startFakeNacosGrpc(() => [], ServerCredentials.createSsl(null, identity));
    const http = await startFakeNacos({ api: "v1" });
    const ca = join(scratch, "ca.pem");
    writeFileSync(ca, cert);
    const watch = `
      const { nacos } = await import("${adapter()}");
      const registry = nacos({ url: "${http.url}", grpcPort: ${grpc.port}, grpcTls: true });
      const hold = setTimeout(() => {}, 3_000);
      registry.watch("orders", { signal: new AbortController().signal }).next();
    `;
    try {
      await script(watch);
      assert.equal(grpc.setUps, 0);
      await script(watch, { NODE_EXTRA_CA_CERTS: ca });
      assert.equal(grpc.setUps, 1);
    } finally {
      grpc.close();
      await http.close();
    }
  });
});

function adapter(): string {
  return pathToFileURL(join(ROOT, "dist/adapters/nacos.js")).href;
}

async function script(body: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const options = { env: { ...process.env, ...env }, timeout: 15_000 };
  const { stdout } = await run("node", ["--input-type=module", "-e", body], options);
  return stdout;
}
