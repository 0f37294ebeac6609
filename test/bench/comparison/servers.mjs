// Starts each registry as a process of its own, by the scripts of test/registries, and says which version it is.
import { fork, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const CURRENT_CONSUL = "v1.20.1";

/** Each starts a server and answers its URL, its version, and how to stop it. */
export const SERVERS = {
  embedded,
  etcd: () => script("etcd.sh"),
  consul: () => script("consul.sh", [], consulOf()),
  nacos: () => script("nacos.sh"),
  eureka: () => script("eureka.sh", ["--production-timing", "--self-preservation"]),
};

async function embedded() {
  const child = fork(fileURLToPath(new URL("../server-process.mjs", import.meta.url)), ["ours"], { execArgv: [] });
  const { url } = await new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the embedded registry ended with code ${code}`)));
    child.once("message", resolve);
  });
  return { url, version: "this one", stop: () => ended(child) };
}

/** A current Consul where one was compiled before, else what the script fetches in a second. */
function consulOf() {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
  const built = join(
    process.env.REGISTRY_CACHE ?? join(cache, "mcp-discovery-registries"),
    `consul-go-${CURRENT_CONSUL}`,
  );
  return existsSync(built) ? { CONSUL_GO_VERSION: CURRENT_CONSUL } : {};
}

function script(name, args = [], env = {}) {
  const path = fileURLToPath(new URL(`../../registries/${name}`, import.meta.url));
  const child = spawn("bash", [path, "start", "--with-parent", ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  return new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`${name} ended with code ${code}`)));
    let version = "";
    createInterface({ input: child.stdout }).on("line", (line) => {
      const [, kind, key, value] = /^(info|ready) (\S+) ?(.*)$/.exec(line) ?? [];
      if (kind === "info" && key === "version") version = value;
      if (kind === "ready") resolve({ url: key, version, stop: () => ended(child) });
    });
  });
}

function ended(child) {
  const exit = new Promise((resolve) => child.once("exit", resolve));
  child.kill();
  return exit;
}
