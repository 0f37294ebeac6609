import { type FSWatcher, watch as watchFolder } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { DiscoveryError } from "../model/errors.js";
import { invalid } from "../model/fields.js";
import type { Position, RegistryUpdate } from "../model/update.js";
import type { Discovery } from "../registry/registry.js";
import { Waiting } from "../registry/waiting.js";
import { type Cancel, type Clock, systemClock } from "../runtime/clock.js";
import { durationMs, knownKeys } from "../runtime/options.js";
import { contentOf, type FileContent } from "./file-content.js";

/** The system's notices of changes get lost on some file systems (network mounts, containers): look this often, in milliseconds. */
const LOOK_MS = 5_000;
/** A file that is being written or replaced is looked at again after this, in milliseconds, so often, before it counts as bad. */
const SETTLE_MS = 50;
const SETTLE_TRIES = 10;

/** How a file of instances is read. */
export interface FileOptions {
  /** How often to look for a change of which the system gave no notice, in milliseconds. @default 5_000 */
  readonly lookMs?: number;
  /** For tests. @default the real clock */
  readonly clock?: Clock;
}

/**
 * A JSON file as a source of instances: an array of what `staticRegistry` takes. Changes are noticed, replacements by
 * rename as well.
 *
 * A file that is missing or cannot be used changes nothing for those who have a list: they keep it, and `list` fails
 * with what is wrong, which a resolver hands on as the cause of its event `stale`.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`
 */
export function fileRegistry(path: string, options: FileOptions = {}): Discovery {
  if (typeof path !== "string" || path === "") throw invalid("fileRegistry.path", path, "the path of a JSON file");
  knownKeys("fileRegistry", options, ["lookMs", "clock"]);
  const lookMs = durationMs("fileRegistry.lookMs", options.lookMs, LOOK_MS, 100, 3_600_000);
  const file = new WatchedFile(resolve(path), lookMs, options.clock ?? systemClock);
  return {
    name: `file ${path}`,
    capabilities: {
      watch: "stream",
      lease: "none",
      reasons: false,
      epoch: false,
      absence: true,
      quietMs: Number.POSITIVE_INFINITY,
    },
    async list(service, { since, signal }) {
      await file.look();
      signal.throwIfAborted();
      return file.tell(service, since);
    },
    async *watch(service, { since, signal }) {
      const leave = file.join();
      try {
        await file.look();
        if (!file.isGood) yield file.tell(service, undefined); // fails where there is nothing to go on with
        let position = since;
        while (true) {
          const changed = file.changed(signal);
          signal.throwIfAborted();
          if (file.isGood || position !== file.position) {
            const update = file.tell(service, position);
            position = file.position;
            yield update;
          }
          await changed;
        }
      } finally {
        leave();
      }
    },
    async services() {
      await file.look();
      return file.names();
    },
    close: async () => file.close(),
  };
}

/** One file, read at most once per change however many watch it. */
class WatchedFile {
  readonly #path: string;
  readonly #lookMs: number;
  readonly #clock: Clock;
  readonly #waiting = new Waiting();
  #good: FileContent | undefined;
  #bad: DiscoveryError | undefined;
  /** What was read last, which is not always taken: another look may have been asked for meanwhile. */
  #read: { readonly text: string; readonly content: FileContent } | undefined;
  #looking: Promise<void> | undefined;
  #isOld = false;
  #watchers = 0;
  #notices: FSWatcher | undefined;
  #cancel: Cancel = () => {};

  constructor(path: string, lookMs: number, clock: Clock) {
    this.#path = path;
    this.#lookMs = lookMs;
    this.#clock = clock;
  }

  /** Whether its present content can be used. */
  get isGood(): boolean {
    return this.#bad === undefined;
  }

  get position(): Position | undefined {
    return this.#good?.position;
  }

  names(): readonly string[] {
    if (!this.#good) throw this.#bad;
    return [...this.#good.services.keys()].sort();
  }

  /** What the file says; whoever knows the last good list already is told what is wrong with the present one. */
  tell(service: string, since: Position | undefined): RegistryUpdate {
    const good = this.#good;
    if (!good || (this.#bad && since === good.position)) throw this.#bad;
    const instances = good.services.get(service);
    if (since === good.position) return { type: "current", position: since };
    return instances ? { type: "reset", instances, position: good.position } : { type: "absent" };
  }

  /** Resolves when the file says something else, or has become good or bad. */
  changed(signal: AbortSignal): Promise<void> {
    return this.#waiting.changeOf("", signal);
  }

  /** Reads it; joins a reading under way, which then begins once more. Never rejects. */
  look(): Promise<void> {
    this.#isOld = true;
    this.#looking ??= this.#settle().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  /** One more watches; the returned function ends that. */
  join(): () => void {
    if (this.#watchers++ === 0) {
      this.#listen();
      this.#lookLater();
    }
    return () => {
      if (--this.#watchers === 0) this.close();
    };
  }

  close(): void {
    this.#cancel();
    this.#notices?.close();
    this.#notices = undefined;
    this.#waiting.wakeAll();
  }

  /** Watches the folder: a file that is replaced by another of its name is not the one that was watched. */
  #listen(): void {
    const name = basename(this.#path);
    try {
      this.#notices = watchFolder(dirname(this.#path), { persistent: false }, (_, changed) => {
        if (changed === null || changed === name) void this.look();
      });
      this.#notices.on("error", () => {}); // a folder that is gone is found out by looking
    } catch {} // as is one that is not there yet
  }

  #lookLater(): void {
    this.#cancel = this.#clock.schedule(this.#lookMs, () => {
      void this.look().then(() => {
        if (this.#watchers > 0) this.#lookLater();
      });
    });
  }

  async #settle(): Promise<void> {
    for (let tries = 0; ; tries++) {
      this.#isOld = false;
      const found = await this.#found();
      const isNew = found instanceof DiscoveryError && found.message !== this.#bad?.message;
      if (!this.#isOld && (!isNew || tries >= SETTLE_TRIES)) return this.#take(found);
      await this.#clock.sleep(SETTLE_MS);
    }
  }

  async #found(): Promise<FileContent | DiscoveryError> {
    try {
      const text = await readFile(this.#path, "utf8");
      if (text !== this.#read?.text) this.#read = { text, content: contentOf(this.#path, text) };
      return this.#read.content;
    } catch (cause) {
      if (DiscoveryError.is(cause)) return cause;
      const why = cause instanceof Error ? cause.message : String(cause);
      return new DiscoveryError("UNAVAILABLE", `${this.#path} cannot be read: ${why}`, { cause });
    }
  }

  #take(found: FileContent | DiscoveryError): void {
    const before = [this.#good, this.#bad?.message];
    if (found instanceof DiscoveryError) this.#bad = found;
    else [this.#good, this.#bad] = [found, undefined];
    if (this.#good !== before[0] || this.#bad?.message !== before[1]) this.#waiting.wakeAll();
  }
}
