/** Who waits for the next change of a service. */
export class Waiting {
  readonly #waiting = new Map<string, Set<() => void>>();

  /** Resolves at the next change of a service, or when the signal aborts. */
  changeOf(service: string, signal: AbortSignal): Promise<void> {
    const waiting = this.#waiting.get(service) ?? new Set();
    this.#waiting.set(service, waiting);
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener("abort", wake);
        waiting.delete(wake);
        if (waiting.size === 0 && this.#waiting.get(service) === waiting) this.#waiting.delete(service);
        resolve();
      };
      waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
      if (signal.aborted) wake();
    });
  }

  /** The service changed. */
  wake(service: string): void {
    const waiting = this.#waiting.get(service);
    if (waiting) for (const wake of waiting) wake();
  }

  /** Every service may have changed. */
  wakeAll(): void {
    for (const service of [...this.#waiting.keys()]) this.wake(service);
  }
}
