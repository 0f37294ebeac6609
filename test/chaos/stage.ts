import { type ChildProcess, fork } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { createInterface } from "node:readline";
import { setTimeout as pass } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  type CreateResolverOptions,
  createResolver,
  type ResolverClient,
  type ServiceClient,
} from "../../src/index.js";

/** A process of the play. */
export interface Actor {
  readonly child: ChildProcess;
  readonly id: string;
  readonly port: number;
}

/** What a load saw. */
export interface Load {
  calls: number;
  readonly failures: string[];
  /** Tries that went wrong and were made good elsewhere; trials of ejected instances are not among them. */
  readonly retried: { readonly id: string; readonly at: number }[];
}

/** Real processes, and a consumer in this one. Everything ends with `close()`. */
export class Stage {
  readonly #actors = new Set<ChildProcess>();
  readonly #resolvers: ResolverClient[] = [];
  registryUrl = "";

  async registry(port = 0): Promise<ChildProcess> {
    const child = this.#fork("../../dist/cli/main.js", ["registry", "--port", String(port), "--json"]);
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    const [line] = await once<[string]>((done) => lines.once("line", (text) => done([text])), child);
    this.registryUrl = JSON.parse(line).url;
    return child;
  }

  async provider(port = 0, flags: readonly string[] = []): Promise<Actor> {
    const child = this.#fork("./provider-process.mjs", [this.registryUrl, String(port), ...flags]);
    const about = await once<{ id: string; port: number }>((done) => child.once("message", done as never), child);
    return { child, ...about };
  }

  async consumer(instances: number, options: CreateResolverOptions = {}): Promise<ServiceClient> {
    const resolver = createResolver({ registry: this.registryUrl, ...options });
    this.#resolvers.push(resolver);
    const orders = resolver.service("orders");
    await orders.ready();
    await until(() => orders.instances().length >= instances);
    return orders;
  }

  async close(): Promise<void> {
    await Promise.all(this.#resolvers.map((resolver) => resolver.close()));
    await Promise.all([...this.#actors].map((child) => kill(child)));
  }

  #fork(script: string, args: string[]): ChildProcess {
    const child = fork(fileURLToPath(new URL(script, import.meta.url)), args, {
      stdio: ["ignore", "pipe", "inherit", "ipc"],
      execArgv: [],
    });
    this.#actors.add(child);
    child.once("exit", () => this.#actors.delete(child));
    return child;
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

/** Calls in an open loop, `rate` a second, for so many seconds or until it is over; `at` happens on the way. */
export async function underLoad(
  orders: ServiceClient,
  rate: number,
  length: number | (() => boolean),
  call: () => Promise<{ readonly status?: number; readonly statusCode?: number }>,
  at: Readonly<Record<number, () => unknown>> = {},
): Promise<Load> {
  const load: Load = { calls: 0, failures: [], retried: [] };
  const noted = (message: unknown): void => {
    const { service, instance, isTrial } = message as { service: string; instance: { id: string }; isTrial: boolean };
    if (service === orders.name && !isTrial) load.retried.push({ id: instance.id, at: performance.now() });
  };
  subscribe("discovery:retry", noted);
  const begun = performance.now();
  const pending: Promise<void>[] = [];
  const acts = Object.entries(at).map(async ([second, act]) => pass(Number(second) * 1_000).then(act));
  const isOver = typeof length === "function" ? length : () => performance.now() - begun >= length * 1_000;
  while (!isOver()) {
    const due = Math.floor(((performance.now() - begun) / 1_000) * rate);
    while (load.calls < due) {
      load.calls++;
      pending.push(one(call, load));
    }
    await pass(2);
  }
  await Promise.all([...pending, ...acts]);
  unsubscribe("discovery:retry", noted);
  return load;
}

async function one(call: () => Promise<{ status?: number; statusCode?: number }>, load: Load): Promise<void> {
  try {
    const { status, statusCode } = await call();
    if ((status ?? statusCode) !== 200) load.failures.push(`status ${status ?? statusCode}`);
  } catch (error) {
    load.failures.push(String(error));
  }
}

/** Waits for a condition, at most half a minute. */
export async function until(condition: () => boolean): Promise<number> {
  const begun = performance.now();
  while (!condition()) {
    if (performance.now() - begun > 30_000) throw new Error("It did not come to pass within 30 s");
    await pass(5);
  }
  return performance.now() - begun;
}

function once<T>(listen: (done: (value: T) => void) => void, child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    listen(resolve);
    child.once("exit", (code) => reject(new Error(`A process ended early, with exit code ${code}`)));
  });
}
