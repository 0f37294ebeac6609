import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll } from "vitest";

const cwd = fileURLToPath(new URL("../..", import.meta.url));
const children: ChildProcess[] = [];

/** The built command, for one file's tests; what still runs after them is killed. */
export function command() {
  beforeAll(() => void execFileSync("node", [".ci/ready.mjs"], { cwd }));
  afterAll(() => {
    for (const child of children) child.kill("SIGKILL");
  });
  return { run, ended };
}

function run(...args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, ["dist/cli/main.js", ...args], { cwd });
  children.push(child);
  return child;
}

async function ended(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const child = run(...args);
  let [out, err] = ["", ""];
  child.stdout?.on("data", (chunk) => {
    out += chunk;
  });
  child.stderr?.on("data", (chunk) => {
    err += chunk;
  });
  const [code] = await once(child, "close");
  return { code, out, err };
}
