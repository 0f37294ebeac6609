/** Origins whose meaning is remembered; beyond that the memory starts anew. */
const REMEMBERED = 10_000;

/** Tells which origins are services, by their form alone, and remembers the answer. */
export class ServiceNames {
  readonly #isService: (host: string) => boolean;
  readonly #names = new Map<string, string | undefined>();

  constructor(isService: (host: string) => boolean) {
    this.#isService = isService;
  }

  /** The service an origin names; undefined if it is another host. */
  of(origin: string | URL | undefined): string | undefined {
    const key = typeof origin === "string" ? origin : (origin?.origin ?? "");
    const known = this.#names.get(key);
    if (known !== undefined || this.#names.has(key)) return known;
    const host = hostOf(key);
    const name = host !== undefined && this.#isService(host) ? host : undefined;
    if (this.#names.size >= REMEMBERED) this.#names.clear();
    this.#names.set(key, name);
    return name;
  }
}

/** The host of an `http:` or `https:` origin, with its port if there is one. */
function hostOf(origin: string): string | undefined {
  try {
    const { protocol, host } = new URL(origin);
    return protocol === "http:" || protocol === "https:" ? host : undefined;
  } catch {
    return undefined;
  }
}
