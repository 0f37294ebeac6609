import { invalid } from "../model/fields.js";
import type { Cancel, Clock } from "../runtime/clock.js";
import { durationMs, knownKeys } from "../runtime/options.js";
import type { LeaseSnapshotOptions } from "./memory-options.js";
import { readSnapshot, type SavedLeases, writeSnapshot } from "./snapshot-file.js";

/** Writing takes at most this share of the time, however many leases there are. */
const DUTY = 0.1;
/** A disk that is full is tried again after that long at most, in milliseconds. */
const MAX_PAUSE_MS = 30_000;

/** Told of what could not be read or written. */
type Failed = (path: string, during: "read" | "write", error: Error) => void;

/** Writes a snapshot some time after a change, never two at once; what fails is told and tried again. */
export class SnapshotKeeper {
  readonly #path: string;
  readonly #everyMs: number;
  readonly #clock: Clock;
  readonly #failed: Failed;
  #pieces: () => Iterable<string> = () => [];
  #dirty = false;
  #notBefore = 0;
  #failures = 0;
  #cancel: Cancel | undefined;
  #writing: Promise<void> | undefined;
  #closed = false;

  /** @throws {DiscoveryError} `INVALID_OPTION` */
  constructor(options: LeaseSnapshotOptions, clock: Clock, failed: Failed) {
    knownKeys("memoryRegistry.snapshot", options, ["path", "everyMs"]);
    const { path, everyMs } = options;
    if (typeof path !== "string" || path === "") throw invalid("memoryRegistry.snapshot.path", path, "a path");
    this.#path = path;
    this.#everyMs = durationMs("memoryRegistry.snapshot.everyMs", everyMs, 1_000, 10, 3_600_000);
    this.#clock = clock;
    this.#failed = failed;
  }

  /** What was kept, if there is anything and it can be used. */
  read(): SavedLeases | undefined {
    try {
      return readSnapshot(this.#path);
    } catch (error) {
      queueMicrotask(() => this.#failed(this.#path, "read", asError(error))); // whoever makes us cannot listen yet
      return undefined;
    }
  }

  /** Says how a snapshot is made. */
  keep(pieces: () => Iterable<string>): void {
    this.#pieces = pieces;
  }

  /** There is something new to keep. */
  changed(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    this.#schedule();
  }

  /** Keeps what is new, and then nothing more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    await this.#writing;
    if (this.#dirty) await this.#write();
  }

  #schedule(): void {
    if (this.#writing || this.#closed) return;
    const ms = Math.max(this.#everyMs, this.#notBefore - this.#clock.now());
    this.#cancel = this.#clock.schedule(ms, () => {
      this.#writing = this.#write().finally(() => {
        this.#writing = undefined;
        if (this.#dirty) this.#schedule();
      });
    });
  }

  /** Never rejects. */
  async #write(): Promise<void> {
    const clock = this.#clock;
    const begunAt = clock.now();
    this.#dirty = false; // what changes while we write is for the next time
    try {
      await writeSnapshot(this.#path, this.#pieces());
      this.#failures = 0;
      this.#notBefore = clock.now() + (clock.now() - begunAt) / DUTY;
    } catch (error) {
      this.#dirty = true;
      this.#notBefore = clock.now() + Math.min(MAX_PAUSE_MS, this.#everyMs * 2 ** this.#failures++);
      this.#failed(this.#path, "write", asError(error));
    }
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
