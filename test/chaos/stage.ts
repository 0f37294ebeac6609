import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import {
  type CreateResolverOptions,
  createResolver,
  type ResolverClient,
  type ServiceClient,
} from "../../src/index.js";
import { type FaultProxy, startFaultProxy } from "../fakes/fault-proxy.js";
import { until } from "./load.js";

/** A process of the play. */
export interface Actor {
  readonly child: ChildProcess;
  readonly id: string;
  readonly port: number;
}

/** What a provider is told; see `provider-process.mjs`. */
export interface Role {
  readonly port?: number;
  readonly host?: string;
  readonly ttlMs?: number;
  /** How long an answer takes, in milliseconds. */
  readonly answerMs?: number;
  /** It waits for a time instead of acknowledgements when it leaves. */
  readonly isBlind?: boolean;
  /** It answers `/health` itself, as well as the last message told it to be. */
  readonly isChecked?: boolean;
}

/** A registry that tells its readers what is not so. */
export interface Liar {
  /** One of the lies that the simulation knows too, or null: the truth again. */
  tell(lie: "failed" | "expired" | "unauthorized" | "corrupt" | null): Promise<void>;
}

/** What stands before `node` on a command line: another namespace, a limit, a priority. */
export type Prefix = readonly string[];

/** Real processes, and a consumer in this one. Everything ends with `close()`. */
export class Stage {
  readonly #actors = new Set<ChildProcess>();
  readonly #closers: (() => Promise<unknown>)[] = [];
  readonly #resolvers: ResolverClient[] = [];
  registryUrl = "";

  async registry(port = 0, options: readonly string[] = [], prefix: Prefix = []): Promise<ChildProcess> {
    const child = this.start(
      "../../dist/cli/main.js",
      ["registry", "--port", String(port), "--json", ...options],
      prefix,
    );
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    const line = await first<string>((done) => lines.once("line", done), child);
    this.registryUrl = JSON.parse(line).url;
    return child;
  }

  /** A registry that deceives its readers when told; see `lying-registry-process.mjs`. */
  async liar(): Promise<Liar> {
    const child = this.start("./lying-registry-process.mjs", []);
    const { url } = await first<{ url: string }>((done) => child.once("message", done), child);
    this.registryUrl = url;
    return {
      tell: (lie) => {
        const told = first<void>((done) => child.once("message", () => done()), child);
        child.send({ lie });
        return told;
      },
    };
  }

  /** Puts a proxy before the registry: whoever comes from now on goes through it. */
  async proxy(): Promise<FaultProxy> {
    const proxy = await startFaultProxy(this.registryUrl);
    this.registryUrl = proxy.url;
    this.#closers.push(() => proxy.close());
    return proxy;
  }

  async provider(role: Role = {}, prefix: Prefix = []): Promise<Actor> {
    const child = this.start("./provider-process.mjs", [JSON.stringify({ url: this.registryUrl, ...role })], prefix);
    const about = await first<{ id: string; port: number }>((done) => child.once("message", done), child);
    return { child, ...about };
  }

  providers(count: number, role: Role = {}): Promise<Actor[]> {
    return Promise.all(Array.from({ length: count }, () => this.provider(role)));
  }

  async consumer(instances: number, options: CreateResolverOptions = {}): Promise<ServiceClient> {
    const resolver = createResolver({ registry: this.registryUrl, ...options });
    this.#resolvers.push(resolver);
    const orders = resolver.service("orders");
    await orders.ready();
    await until(() => orders.instances().length >= instances);
    return orders;
  }

  /** Starts a script with a channel to it; it ends with the stage at the latest. */
  start(script: string, args: readonly string[], prefix: Prefix = []): ChildProcess {
    const [command, ...rest] = [...prefix, process.execPath, fileURLToPath(new URL(script, import.meta.url)), ...args];
    const child = spawn(command as string, rest, { stdio: ["ignore", "pipe", "inherit", "ipc"] });
    this.#actors.add(child);
    child.once("exit", () => this.#actors.delete(child));
    return child;
  }

  async close(): Promise<void> {
    await Promise.all(this.#resolvers.map((resolver) => resolver.close()));
    await Promise.all([...this.#actors].map((child) => kill(child)));
    for (const close of this.#closers.splice(0)) await close();
  }
}

/** Kills a process and waits until it is gone, so that its port is free. */
export async function kill(child: ChildProcess): Promise<void> {
  await ended(child, "SIGKILL");
}

/** Sends a signal and waits until the process is gone; resolves with its exit code. */
export function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => {
    child.once("exit", resolve);
    child.kill(signal);
  });
}

/** The first thing a process says, unless it ends before. */
export function first<T>(listen: (done: (value: T) => void) => void, child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    listen(resolve);
    child.once("exit", (code) => reject(new Error(`A process ended early, with exit code ${code}`)));
    child.once("error", reject);
  });
}
