import type { Endpoint } from "../endpoint/endpoint.js";
import { hostPort, type InstanceStatus } from "../model/instance.js";
import type { Snapshot } from "../model/update.js";
import type { Discovery } from "../registry/registry.js";
import type { Rotation } from "./rotation.js";
import { type Tier, tierOf } from "./stages/tier.js";

/** Where one instance stands, and why. */
export interface ExplainedInstance {
  readonly id: string;
  /** `host:port`. */
  readonly address: string;
  readonly status: InstanceStatus;
  /** True when the registry no longer lists it and its silence proves nothing. */
  readonly suspect: boolean;
  /** `usable`, or the stage that keeps it out: a filter's name, `status`, `tier`, `subset`, `zone`, `ejected`. */
  readonly stage: string;
  /** In a few words, for people. */
  readonly why: string;
  /** The weight the registry tells. */
  readonly weight: number;
  /** What slow start, zone and split make of it. */
  readonly effectiveWeight: number;
  readonly inFlight: number;
  /** Smoothed time to response headers; undefined before the first. */
  readonly latencyMs: number | undefined;
  /** Share of recent calls that succeeded, 0 to 1. */
  readonly successRate: number;
  /** Calls begun and failed since this process knows it. */
  readonly calls: number;
  readonly failures: number;
  /** Why it was taken out of rotation, if it was, and how long that still lasts. */
  readonly ejection: { readonly cause: string; readonly remainingMs: number; readonly onTrial: boolean } | undefined;
}

/** Why a service's calls go where they go: plain data for programs, and as a string for people. */
export class Explanation {
  readonly service: string;
  readonly registry: string;
  /** Of several registries, the one that is read while a preferred one is away. */
  readonly fallback: string | undefined;
  readonly state: Snapshot["state"];
  readonly stale: boolean;
  readonly warming: boolean;
  readonly balancer: string;
  /** The tier that is picked from. */
  readonly tier: Tier | undefined;
  readonly panic: boolean;
  /** `disk` while the registry has not yet confirmed what was kept from an earlier life of this process. */
  readonly source: Snapshot["source"];
  /** How many losses the guard has doubted since this process knows the service. */
  readonly suspected: number;
  /** How many instances are at each stage. */
  readonly counts: Readonly<Record<string, number>>;
  /** In the order of their ids. */
  readonly instances: readonly ExplainedInstance[];

  /** @internal Use `service.explain()`. */
  constructor(
    registry: Pick<Discovery, "name" | "fallback">,
    snapshot: Snapshot,
    rotation: Rotation,
    suspected: number,
    now: number,
  ) {
    const { tier, panic } = rotation.eligible;
    this.service = snapshot.service;
    this.registry = registry.name;
    this.fallback = registry.fallback;
    this.state = snapshot.state;
    this.stale = snapshot.stale;
    this.warming = snapshot.warming;
    this.balancer = rotation.balancer.name;
    this.tier = tier;
    this.panic = panic;
    this.source = snapshot.source;
    this.suspected = suspected;
    this.instances = explained(rotation, new Set(snapshot.suspects), now);
    const counts: Record<string, number> = { known: this.instances.length, usable: 0 };
    for (const { stage } of this.instances) counts[stage] = (counts[stage] ?? 0) + 1;
    this.counts = counts;
  }

  /** A few lines a person can read. */
  toString(): string {
    const suspects = this.instances.filter(({ suspect }) => suspect).length;
    const doubts = [
      this.fallback !== undefined && `${this.fallback} is read: what is preferred to it is away`,
      this.source === "disk" && "from disk",
      this.stale && "stale",
      suspects > 0 && `${suspects} no longer listed, kept in doubt`,
      this.warming && "warming",
      this.panic && "panic: ejections are ignored",
    ];
    const notes = doubts.filter(Boolean).map((doubt) => ` · ${doubt}`);
    const head = `${this.service}: ${this.counts["usable"]} of ${this.counts["known"]} usable · ${this.balancer} · ${this.registry}${notes.join("")}`;
    if (this.state !== "known") return `${head} · ${this.state === "absent" ? "no such service" : "not heard of yet"}`;
    const rows = this.instances.map((one) => [`  ${one.id}`, one.stage, one.why, loadOf(one)]);
    return [head, ...aligned(rows)].join("\n");
  }
}

function explained(rotation: Rotation, suspects: ReadonlySet<string>, now: number): readonly ExplainedInstance[] {
  const usable = new Set(rotation.eligible.usable);
  const notes = new Map<Endpoint, { readonly stage: string; readonly why: string }>();
  rotation.explain((endpoint, stage, why) => notes.set(endpoint, { stage, why }));
  return rotation.all.map((endpoint) => {
    const { instance, load, ejection } = endpoint;
    const remainingMs = Math.max(0, Math.round(ejection.until - now));
    const out = ejection.cause && { cause: ejection.cause, remainingMs, onTrial: ejection.onTrial };
    const stands = usable.has(endpoint) ? { stage: "usable", why: "" } : notes.get(endpoint);
    const { stage, why } = stands ?? unnoted(endpoint, rotation.eligible.tier);
    return {
      id: instance.id,
      address: hostPort(instance.host, instance.port),
      status: instance.status,
      suspect: suspects.has(instance.id),
      stage,
      why: why || (out ? `${out.cause}, ${onTrialOr(out)}` : ""),
      weight: instance.weight,
      effectiveWeight: usable.has(endpoint) ? endpoint.weight : 0,
      inFlight: load.inFlight,
      latencyMs: load.latencyMs < 0 ? undefined : load.latencyMs,
      successRate: Math.min(1, Math.round(load.successRate * 1_000) / 1_000),
      calls: load.calls,
      failures: load.failures,
      ejection: out,
    };
  });
}

function onTrialOr({ remainingMs, onTrial }: { readonly remainingMs: number; readonly onTrial: boolean }): string {
  if (onTrial) return "on trial";
  return remainingMs > 0 ? `to be tried in ${remainingMs} ms` : "to be tried by the next call";
}

/** Nobody looked at it: it is starting, or a better tier was enough. */
function unnoted(endpoint: Endpoint, tier: Tier | undefined): { readonly stage: string; readonly why: string } {
  const own = tierOf(endpoint);
  if (own === undefined) return { stage: "status", why: "starting: not yet ready for calls" };
  return { stage: "tier", why: `${own} is worse than ${tier}` };
}

function loadOf(one: ExplainedInstance): string {
  const latency = one.latencyMs === undefined ? "not measured" : `${one.latencyMs.toFixed(1)} ms`;
  return `weight ${Number(one.effectiveWeight.toFixed(3))} · ${one.inFlight} in flight · ${latency} · ${one.failures} of ${one.calls} failed`;
}

/** Columns as wide as their widest cell. */
function aligned(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
