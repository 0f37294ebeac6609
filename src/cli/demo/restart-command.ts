import { spawn } from "node:child_process";

/** Runs what restarts a registry, through the shell, and resolves when it has ended well. What it says goes to stderr. */
export function runRestart(command: string, signal: AbortSignal): Promise<void> {
  const child = spawn(command, { shell: true, stdio: ["ignore", process.stderr, process.stderr], signal });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, killedBy) => {
      if (code === 0) resolve();
      else reject(new Error(`--restart-registry ended with ${killedBy ?? `exit code ${code}`}: ${command}`));
    });
  });
}
