import { DiscoveryError } from "../model/errors.js";
import type { ServiceInstance } from "../model/instance.js";
import { fromWire, toWire, type WireInstance } from "../wire/json.js";
import { base64, type Life } from "./etcd-keys.js";

/** A key and what stands there, as the gateway tells it: numbers as texts, and nothing where they are 0. */
export interface KeyValue {
  readonly key: string;
  readonly value?: string;
  readonly create_revision?: string;
  readonly mod_revision?: string;
}

/** An instance as it stands in etcd: what the wire says of it, but for its life, which is the key's. */
export function toEtcd(instance: ServiceInstance): string {
  return base64(JSON.stringify({ ...toWire(instance), incarnation: undefined }));
}

/** @throws {DiscoveryError} if it cannot be read, or is somebody else than its key says */
export function fromEtcd({ value = "", create_revision }: KeyValue, { service, id }: Life): ServiceInstance {
  const record = JSON.parse(Buffer.from(value, "base64").toString("utf8")) as WireInstance;
  const instance = fromWire({ ...record, incarnation: Number(create_revision) });
  if (instance.id !== id || instance.service !== service) {
    throw new DiscoveryError("PROTOCOL", `The key of ${id} holds ${instance.id}`, { service });
  }
  return instance;
}

/** The keys in an answer. */
export function keyValues(fields: unknown): readonly KeyValue[] {
  const { kvs } = (fields ?? {}) as { readonly kvs?: unknown };
  return Array.isArray(kvs) ? (kvs as readonly KeyValue[]) : [];
}

/** A number that the gateway told; 0 where it left it out. */
export function numberOf(text: unknown): number {
  const number = Number(text ?? 0);
  if (Number.isSafeInteger(number)) return number;
  throw new DiscoveryError("PROTOCOL", `etcd sent ${String(text)} where a number should stand`);
}

/** The revision an answer is of. */
export function revisionIn({ header }: Readonly<Record<string, unknown>>): number {
  return numberOf((header as { readonly revision?: unknown } | undefined)?.revision);
}
