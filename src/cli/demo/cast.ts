import { type ChildProcess, fork } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Lease } from "../../registry/registry.js";
import { untilAborted } from "../../runtime/deadline.js";
import type { ConsumerReport, ProviderReady, Visible } from "./messages.js";

/** A provider on the stage. */
export interface Provider {
  readonly id: string;
  readonly port: number;
  readonly child: ChildProcess;
}

/** Who hears from the consumer. */
export interface Audience {
  report(report: ConsumerReport): void;
  /** A registry that began anew lists everybody again. */
  visible(at: number): void;
  died(error: Error): void;
}

/** The processes of the demo: all real, all gone when it ends. */
export class Cast {
  readonly #signal: AbortSignal;
  readonly #children = new Set<ChildProcess>();
  #registry: ChildProcess | undefined;
  /** The newest registration of every provider there ever was, by id. */
  readonly leases = new Map<string, Lease>();
  readonly service: string;
  registryUrl = "";

  constructor(service: string, signal: AbortSignal) {
    this.service = service;
    this.#signal = signal;
  }

  /** Starts the registry; a second one takes the place of the first, on its port and with nothing in its memory. */
  async registry(): Promise<string> {
    const port = this.registryUrl === "" ? "0" : new URL(this.registryUrl).port;
    const child = this.#fork("../main.js", ["registry", "--port", port, "--json"]);
    this.#registry = child;
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    const line = await this.#firstOf(child, new Promise<string>((resolve) => lines.once("line", resolve)));
    this.registryUrl = String((JSON.parse(line) as { url: unknown }).url);
    return this.registryUrl;
  }

  /** What these providers hold of the registry now. */
  leasesOf(providers: readonly Provider[]): readonly Lease[] {
    return providers.flatMap(({ id }) => this.leases.get(id) ?? []);
  }

  /** Kills the registry, and resolves when it is gone. */
  async killRegistry(): Promise<void> {
    if (this.#registry) await ended(this.#registry, "SIGKILL");
  }

  async provider(port = 0): Promise<Provider> {
    const child = this.#fork("./provider-process.js", [this.registryUrl, this.service, String(port)]);
    const ready = new Promise<Lease>((resolve) => {
      child.on("message", (message) => {
        const { lease } = message as ProviderReady;
        this.leases.set(lease.instance.id, lease);
        resolve(lease);
      });
    });
    const { instance } = await this.#firstOf(child, ready);
    return { id: instance.id, port: instance.port, child };
  }

  /** Asks a provider to leave, starts another on its port, and resolves with that one. */
  async replace(provider: Provider): Promise<Provider> {
    await untilAborted(ended(provider.child, "SIGTERM"), this.#signal);
    return this.provider(provider.port);
  }

  consumer(rate: number, audience: Audience): void {
    const child = this.#fork("./consumer-process.js", [this.registryUrl, this.service, String(rate)]);
    child.on("message", (message) => {
      const told = message as ConsumerReport | Visible;
      if (told.type === "report") audience.report(told);
      else audience.visible(told.at);
    });
    child.once("exit", (code) => {
      if (!this.#signal.aborted) audience.died(new Error(`The consumer ended with exit code ${code}`));
    });
  }

  /** Ends everybody; whoever does not go is killed with this process's own end. */
  async leave(): Promise<void> {
    await Promise.all([...this.#children].map((child) => ended(child, "SIGKILL")));
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

/** Sends a signal, and resolves when the process is gone. */
function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill(signal);
  });
}
