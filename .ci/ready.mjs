// Makes a fresh clone ready: installs what is missing, builds what is older than its source. Says nothing otherwise.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const at = (...parts) => join(root, ...parts);
const LOCK = at(".cache", "ready.lock");
const LOCK_STALE_MS = 10 * 60_000;

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`mcp-discovery needs Node 20.19 or newer; this is ${process.versions.node}.`);
  process.exit(1);
}

await locked(() => {
  const isLinked = lstatSync(at("node_modules"), { throwIfNoEntry: false })?.isSymbolicLink() ?? false; // somebody else's
  if (!isLinked && changedAt(at("node_modules", ".package-lock.json")) < changedAt(at("package-lock.json"))) {
    console.error("Installing dependencies (npm install) …");
    run("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"]);
  }
  if (process.argv.includes("--build") || changedAt(at("dist", "index.js")) < newestSource()) {
    console.error("Building (tsc) …");
    rmSync(at("dist"), { recursive: true, force: true });
    run(process.execPath, [at("node_modules", "typescript", "bin", "tsc"), "-p", at("tsconfig.json")]);
    chmodSync(at("dist", "cli", "main.js"), 0o755);
  }
});

function run(command, args) {
  try {
    execFileSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] });
  } catch {
    unlock();
    process.exit(1);
  }
}

function changedAt(path) {
  return existsSync(path) ? statSync(path).mtimeMs : 0;
}

function newestSource() {
  const sources = readdirSync(at("src"), { recursive: true }).map((name) => at("src", String(name)));
  return Math.max(...[...sources, at("src"), at("tsconfig.json"), at("package.json")].map(changedAt));
}

/** Two commands at once must not build into each other. */
async function locked(task) {
  mkdirSync(at(".cache"), { recursive: true });
  while (true) {
    try {
      mkdirSync(LOCK);
      break;
    } catch {
      if (Date.now() - changedAt(LOCK) > LOCK_STALE_MS) unlock();
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
  process.once("exit", unlock);
  task();
  unlock();
}

function unlock() {
  rmSync(LOCK, { recursive: true, force: true });
}
