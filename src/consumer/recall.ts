import type { Snapshot } from "../model/update.js";
import type { Clock } from "../runtime/clock.js";
import type { LastKnown, Shelf } from "./last-known.js";

/**
 * The registry has this long to answer first, in milliseconds: a call must not wait more than 20 for what lies on a disk,
 * and a process that has just begun needs as long again for its first request.
 */
const HEAD_START_MS = 10;
/** A list that stays the same is written again after this, in milliseconds: it must not look older than it is. */
const WRITE_AGAIN_MS = 3_600_000;

/** Lets one service begin with the list it had before this process was restarted, and keeps that list for the next time. */
export class Recall {
  readonly #service: string;
  readonly #shelf: Shelf;
  readonly #clock: Clock;
  readonly #miss: Promise<void>;
  #missed: () => void = () => {};
  #keptAt = Number.NEGATIVE_INFINITY;
  #isHeard = false;
  /** How old the recalled list was; undefined if none is in use, or the registry has spoken since. */
  ageMs: number | undefined;

  constructor(service: string, shelf: Shelf, clock: Clock) {
    this.#service = service;
    this.#shelf = shelf;
    this.#clock = clock;
    this.#miss = new Promise((resolve) => {
      this.#missed = resolve;
    });
  }

  /** Looks for a list, and hands it over as soon as the registry has failed, or has had its head start. */
  async begin(signal: AbortSignal, recalled: (found: LastKnown) => void): Promise<void> {
    const headStart = this.#clock.sleep(HEAD_START_MS, signal).catch(() => {});
    const found = await this.#shelf.find(this.#service);
    await Promise.race([this.#miss, headStart]);
    if (!found || signal.aborted || this.#isHeard) return;
    this.ageMs = found.ageMs;
    recalled(found);
  }

  /** The registry could not be heard. */
  missed(): void {
    this.#missed();
  }

  /** The registry has spoken: what was recalled no longer counts. */
  confirmed(): void {
    this.ageMs = undefined;
    this.#isHeard = true;
  }

  /** Keeps a list as it stands by the registry's last word. */
  keep({ instances, epoch }: Snapshot, changed: boolean): void {
    const now = this.#clock.now();
    if (!changed && now - this.#keptAt < WRITE_AGAIN_MS) return;
    this.#keptAt = now;
    this.#shelf.keep(this.#service, instances, epoch);
  }
}
