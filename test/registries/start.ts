import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A real registry server, a child of this process: it stops with it. */
export interface RunningRegistry {
  readonly url: string;
  readonly port: number;
  /** What the script tells of it, such as `pid` or `version`; a key may come several times. */
  readonly info: Readonly<Record<string, readonly string[]>>;
  /** Ends it, with everything it knows. A second call joins the first. */
  stop(): Promise<void>;
}

/** Starts a server by its script in this folder, on a free loopback port unless `args` name one. */
export function startRegistry(
  script: string,
  args: readonly string[] = [],
  env: NodeJS.ProcessEnv = process.env,
): Promise<RunningRegistry> {
  const child = spawn("bash", [pathOf(script), "start", "--with-parent", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env,
  });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const info: Record<string, string[]> = {};
  let complaint = "";
  child.stderr.on("data", (chunk: Buffer) => {
    complaint += String(chunk);
  });
  return new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(complaint.trim() || `${script} ended with code ${code}`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const [, kind, key = "", value = ""] = /^(info|ready) (\S+) ?(.*)$/.exec(line) ?? [];
      if (kind === "info") info[key] = [...(info[key] ?? []), value];
      if (kind !== "ready") return;
      const stop = (): Promise<void> => {
        child.kill();
        return exited;
      };
      resolve({ url: key, port: Number(new URL(key).port), info, stop });
    });
  });
}

/**
 * Why a server cannot be had on this machine; undefined if it can, once fetched into the cache. Tests skip with that
 * reason, loudly. Where `REQUIRE_REGISTRIES=1` they do not skip: they fail when they start it.
 */
export async function whyMissing(script: string): Promise<string | undefined> {
  const child = spawn("bash", [pathOf(script), "install"], { stdio: ["ignore", "ignore", "pipe"] });
  let complaint = "";
  child.stderr.on("data", (chunk: Buffer) => {
    complaint += String(chunk);
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (code !== 3 || process.env["REQUIRE_REGISTRIES"] === "1") return undefined;
  process.stderr.write(`SKIPPED, no server for these tests: ${complaint.trim()}\n`);
  return complaint.trim();
}

function pathOf(script: string): string {
  return fileURLToPath(new URL(script, import.meta.url));
}
