import { subscribe } from "node:diagnostics_channel";
import { createResolver } from "../../index.js";
import type { ServiceInstance } from "../../model/instance.js";
import { systemClock } from "../../runtime/clock.js";
import { haltSignal } from "../../runtime/deadline.js";
import { interrupted } from "../interrupted.js";
import type { ConsumerReport, SeenInstance, Visible } from "./messages.js";

const REPORT_MS = 200;
const LOOK_MS = 10;

const [registry = "", service = "", rate = ""] = process.argv.slice(2);
const resolver = createResolver({ registry });
const orders = resolver.service(service);
const dispatcher = resolver.dispatcher();
const halt = haltSignal(); // one for every call
const seen = new Map<string, { calls: number; latencyMs: number; firstAt: number; lastAt: number; trials: number }>();
const ejected = new Set<string>();
let calls = 0;
let failures = 0;
let lastFailure: string | undefined;

orders.on("ejected", ({ instance }) => ejected.add(instance.id));
orders.on("readmitted", ({ instance }) => ejected.delete(instance.id));
subscribe("discovery:retry", (message) => {
  const { instance, isTrial } = message as { instance: ServiceInstance; isTrial: boolean };
  const entry = entryOf(instance.id);
  if (isTrial) entry.trials++;
  else entry.lastAt = systemClock.wall();
});

await orders.ready();
void calling();
void reporting();
void looking();
await interrupted();
halt.abort();
await resolver.close();

/** Open loop: a slow answer delays nobody else's call. */
async function calling(): Promise<void> {
  const begun = systemClock.now();
  for (let sent = 0; !halt.signal.aborted; sent++) {
    const dueAt = begun + (sent * 1_000) / Number(rate);
    const earlyMs = dueAt - systemClock.now();
    if (earlyMs > 1) await systemClock.sleep(earlyMs, halt.signal).catch(() => {});
    void call();
  }
}

async function call(): Promise<void> {
  const startedAt = systemClock.wall();
  const started = systemClock.now();
  try {
    const response = await fetch(`http://${service}/v1/orders/42`, { dispatcher, signal: halt.signal } as never);
    await response.text();
    const entry = entryOf(response.headers.get("x-instance") ?? "");
    entry.calls++;
    entry.firstAt ||= startedAt;
    entry.lastAt = Math.max(entry.lastAt, startedAt);
    entry.latencyMs += 0.1 * (systemClock.now() - started - entry.latencyMs);
    calls++;
    if (!response.ok) throw new Error(`status ${response.status}`);
  } catch (error) {
    if (halt.signal.aborted) return;
    failures++;
    lastFailure = String((error as Error).cause ?? error);
  }
}

async function reporting(): Promise<void> {
  while (!halt.signal.aborted && process.connected) {
    const instances = seenInstances();
    process.send?.({
      type: "report",
      calls: calls + failures,
      failures,
      lastFailure,
      instances,
    } satisfies ConsumerReport);
    await systemClock.sleep(REPORT_MS, halt.signal).catch(() => {});
  }
}

/** Tells when a registry that began anew lists everybody again. */
async function looking(): Promise<void> {
  let { epoch } = orders.snapshot;
  while (!halt.signal.aborted && process.connected) {
    const { epoch: now, suspects } = orders.snapshot;
    if (now !== epoch && suspects.length === 0) {
      epoch = now;
      process.send?.({ type: "visible", at: systemClock.wall() } satisfies Visible);
    }
    await systemClock.sleep(LOOK_MS, halt.signal).catch(() => {});
  }
}

function entryOf(id: string) {
  const entry = seen.get(id) ?? { calls: 0, latencyMs: 0, firstAt: 0, lastAt: 0, trials: 0 };
  seen.set(id, entry);
  return entry;
}

function seenInstances(): SeenInstance[] {
  const listed = new Map(orders.instances().map((instance) => [instance.id, instance]));
  return [...new Set([...seen.keys(), ...listed.keys()])].map((id) => {
    const entry = seen.get(id);
    const status = listed.has(id) ? (ejected.has(id) ? "ejected" : String(listed.get(id)?.status)) : "gone";
    return {
      id,
      status,
      incarnation: listed.get(id)?.incarnation ?? 0,
      calls: entry?.calls ?? 0,
      latencyMs: entry && entry.calls > 0 ? entry.latencyMs : undefined,
      firstAt: entry?.firstAt || undefined,
      lastAt: entry?.lastAt || undefined,
      trials: entry?.trials ?? 0,
    };
  });
}
