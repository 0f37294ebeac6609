import { createHash, type Hash } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { DiscoveryError } from "../model/errors.js";
import { numberIn } from "../model/fields.js";
import { defineInstance, type ServiceInstance } from "../model/instance.js";
import type { HeldInstance } from "./held-instance.js";
import type { HealthCheck } from "./registry.js";

const FORMAT = "mcp-discovery leases";
const VERSION = 1;
/** Lines go to the file in pieces of so many: between two of them others have their turn. */
const LINES = 256;
const NEWLINE = 0x0a;

/** A lease as it was written, with the status its holder declared. */
export interface SavedLease {
  readonly leaseId: string;
  readonly ttlMs: number;
  readonly health?: HealthCheck | undefined;
  readonly holder?: string | undefined;
  readonly edition?: number | undefined;
  readonly instance: ServiceInstance;
}

/** A registry's leases, and its revision when they were written. */
export interface SavedLeases {
  readonly revision: number;
  readonly leases: readonly SavedLease[];
}

/**
 * Leases as text: a line that names the format, a line for each, and a line with their number and the checksum of all
 * before it, so that a file that ends early or was changed is known.
 */
export function* encoded(revision: number, leases: Iterable<HeldInstance>): Generator<string> {
  const hash = createHash("sha256");
  let lines = [JSON.stringify({ format: FORMAT, version: VERSION, revision })];
  let count = 0;
  for (const { instance, declared, leaseId, ttlMs, health, holder, edition } of leases) {
    count++;
    const described = { ...instance, status: declared };
    lines.push(JSON.stringify({ leaseId, ttlMs, health, holder, edition, instance: described }));
    if (lines.length < LINES) continue;
    yield piece(lines, hash);
    lines = [];
  }
  if (lines.length > 0) yield piece(lines, hash);
  yield ending(count, hash);
}

function piece(lines: readonly string[], hash: Hash): string {
  const text = `${lines.join("\n")}\n`;
  hash.update(text);
  return text;
}

/** @throws {DiscoveryError} `PROTOCOL` if the text is torn, changed or of another version */
export function decoded(bytes: Buffer): SavedLeases {
  const header = parsed(bytes.subarray(0, Math.max(0, bytes.indexOf(NEWLINE))));
  if (header["format"] !== FORMAT) throw unusable("it is no snapshot of leases");
  if (header["version"] !== VERSION) throw unusable(`its version is ${header["version"]}, ours ${VERSION}`);
  const end = bytes.lastIndexOf(NEWLINE, -2) + 1;
  const body = bytes.subarray(0, end);
  const [, ...lines] = body.toString().trimEnd().split("\n");
  if (bytes.subarray(end).toString() !== ending(lines.length, createHash("sha256").update(body))) {
    throw unusable("it is torn or was changed");
  }
  return { revision: numberIn("revision", header["revision"], 0, Number.MAX_SAFE_INTEGER), leases: lines.map(lease) };
}

/** The last line, of which every byte counts. */
function ending(leases: number, hash: Hash): string {
  return `${JSON.stringify({ leases, sha256: hash.digest("hex") })}\n`;
}

function lease(line: string): SavedLease {
  const { instance, ...saved } = JSON.parse(line);
  return { ...saved, instance: defineInstance(instance) };
}

function parsed(line: Buffer): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line.toString());
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/**
 * Reads a snapshot, at once; undefined if there is none.
 *
 * @throws {DiscoveryError} `PROTOCOL` if it cannot be trusted, or is torn, changed or of another version
 */
export function readSnapshot(path: string): SavedLeases | undefined {
  const file = opened(path);
  if (file === undefined) return undefined;
  try {
    const { uid, mode } = fstatSync(file);
    if (process.getuid && uid !== process.getuid()) throw unusable("it belongs to another user");
    if (process.getuid && (mode & 0o022) !== 0) throw unusable("others may write it");
    return decoded(readFileSync(file));
  } finally {
    closeSync(file);
  }
}

function opened(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Writes a snapshot beside the present one and puts it in its place: whoever reads finds one or the other, whole. */
export async function writeSnapshot(path: string, pieces: Iterable<string>): Promise<void> {
  const beside = `${path}.tmp`;
  await rm(beside, { force: true }); // left by a crash, or laid there by somebody else
  const file = await open(beside, "wx", 0o600); // whoever reads a lease's id can end it
  try {
    for (const text of pieces) await file.writeFile(text);
    await file.sync(); // else a power cut could leave the new name with nothing behind it
  } catch (error) {
    await rm(beside, { force: true }).catch(() => {}); // a full disk needs the room
    throw error;
  } finally {
    await file.close();
  }
  await rename(beside, path);
}

function unusable(why: string): DiscoveryError {
  return new DiscoveryError("PROTOCOL", `The snapshot is not used: ${why}`);
}
