import { type ChildProcess, fork } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { untilAborted } from "../../runtime/deadline.js";
import type { ConsumerReport, ProviderReady } from "./messages.js";

/** A provider on the stage. */
export interface Provider {
  readonly id: string;
  readonly child: ChildProcess;
}

/** The processes of the demo: all real, all gone when it ends. */
export class Cast {
  readonly #signal: AbortSignal;
  readonly #children = new Set<ChildProcess>();
  registryUrl = "";

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  async registry(): Promise<string> {
    const child = this.#fork("../main.js", ["registry", "--port", "0", "--json"]);
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    const line = await this.#firstOf(child, new Promise<string>((resolve) => lines.once("line", resolve)));
    this.registryUrl = String((JSON.parse(line) as { url: unknown }).url);
    return this.registryUrl;
  }

  async provider(): Promise<Provider> {
    const child = this.#fork("./provider-process.js", [this.registryUrl]);
    const ready = new Promise<ProviderReady>((resolve) =>
      child.once("message", (message) => resolve(message as ProviderReady)),
    );
    const { id } = await this.#firstOf(child, ready);
    return { id, child };
  }

  consumer(rate: number, told: (report: ConsumerReport) => void, died: (error: Error) => void): void {
    const child = this.#fork("./consumer-process.js", [this.registryUrl, String(rate)]);
    child.on("message", (message) => told(message as ConsumerReport));
    child.once("exit", (code) => {
      if (!this.#signal.aborted) died(new Error(`The consumer ended with exit code ${code}`));
    });
  }

  /** Ends everybody; whoever does not go is killed with this process's own end. */
  async leave(): Promise<void> {
    const gone = [...this.#children].map(
      (child) =>
        new Promise<void>((resolve) => {
          child.once("exit", () => resolve());
          child.kill("SIGKILL");
        }),
    );
    await Promise.all(gone);
  }

  #fork(script: string, args: readonly string[]): ChildProcess {
    const path = fileURLToPath(new URL(script, import.meta.url));
    const child = fork(path, args, { stdio: ["ignore", "pipe", "inherit", "ipc"], execArgv: [] });
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    return child;
  }

  async #firstOf<T>(child: ChildProcess, ready: Promise<T>): Promise<T> {
    const failed = new Promise<never>((_, reject) => {
      child.once("exit", (code) => reject(new Error(`${child.spawnfile} ended early with exit code ${code}`)));
    });
    failed.catch(() => {}); // its exit later on is no failure
    return untilAborted(Promise.race([ready, failed]), this.#signal);
  }
}
