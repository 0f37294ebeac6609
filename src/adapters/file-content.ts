import { createHash } from "node:crypto";
import { DiscoveryError } from "../model/errors.js";
import { byId, defineInstance, type InstanceInput, type ServiceInstance } from "../model/instance.js";
import type { Position } from "../model/update.js";
import { knownKeys } from "../runtime/options.js";

/** What an entry may say: what `staticRegistry` takes. */
const KEYS = [
  ...["id", "service", "host", "port", "protocol", "weight", "zone", "version", "tags", "metadata", "status"],
  ...["ttlMs", "registeredAt", "incarnation"],
];

/** A file of instances, read and checked. */
export interface FileContent {
  readonly services: ReadonlyMap<string, readonly ServiceInstance[]>;
  /** The same for the same text, in every process. */
  readonly position: Position;
}

/**
 * Reads the text of a file: a JSON array of instances.
 *
 * @param path names the file in messages
 * @throws {DiscoveryError} `PROTOCOL`, naming the entry and the field
 */
export function contentOf(path: string, text: string): FileContent {
  const entries = parsed(path, text);
  const services = new Map<string, ServiceInstance[]>();
  const ids = new Set<string>();
  for (const [index, entry] of entries.entries()) {
    const instance = instanceIn(path, entry, index);
    const key = `${instance.service}\n${instance.id}`;
    if (ids.has(key)) throw unreadable(path, `[${index}].id is ${instance.id}, as that of an entry before it`);
    ids.add(key);
    const listed = services.get(instance.service) ?? [];
    services.set(instance.service, [...listed, instance]);
  }
  for (const listed of services.values()) listed.sort(byId);
  return { services, position: createHash("sha256").update(text).digest("base64url").slice(0, 16) };
}

function parsed(path: string, text: string): readonly unknown[] {
  let entries: unknown;
  try {
    entries = JSON.parse(text.replace(/^\ufeff/, "")); // some editors begin a file so
  } catch (cause) {
    throw unreadable(path, `it is no JSON: ${cause instanceof Error ? cause.message : cause}`, cause);
  }
  if (!Array.isArray(entries)) throw unreadable(path, "it is no array of instances");
  return entries;
}

function instanceIn(path: string, entry: unknown, index: number): ServiceInstance {
  try {
    knownKeys(`[${index}]`, entry, KEYS);
    return defineInstance(entry as InstanceInput, `[${index}]`);
  } catch (cause) {
    if (!DiscoveryError.is(cause)) throw cause;
    throw unreadable(path, cause.message.replace(/ \(\w+\)$/, ""), cause);
  }
}

function unreadable(path: string, why: string, cause?: unknown): DiscoveryError {
  return new DiscoveryError("PROTOCOL", `${path} cannot be used: ${why}`, { cause });
}
