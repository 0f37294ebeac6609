import { type LookupAddress, lookup } from "node:dns";
import type { LookupFunction } from "node:net";
import type { ProbeRules } from "./probe-target.js";

/** Names resolved at one time: libuv has four threads for that, and files need them too. */
const MAX_LOOKUPS = 2;

type Answer = (error: Error | null, addresses: readonly LookupAddress[]) => void;
/** `dns.lookup` with `all: true`. */
export type Resolve = (host: string, answer: Answer) => void;

const systemResolve: Resolve = (host, answer) => lookup(host, { all: true }, answer);

/** What is thrown where a rule forbids the address a name leads to. */
export class AddressDenied extends Error {}

/**
 * Resolves names for probes, and judges every address at the moment of connecting: a name that was harmless when it was
 * registered may lead to a metadata address now. Nothing is remembered. Node calls it for names alone.
 */
export class GuardedLookup {
  readonly #rules: ProbeRules;
  readonly #resolve: Resolve;
  readonly #asked = new Map<string, Answer[]>();
  readonly #waiting: string[] = [];
  #active = 0;

  constructor(rules: ProbeRules, resolve: Resolve = systemResolve) {
    this.#rules = rules;
    this.#resolve = resolve;
  }

  /** The `lookup` of one connection. @param found hears that the name has been resolved */
  for(local: boolean, found: () => void): LookupFunction {
    return (host, options, callback) => {
      this.#ask(host, (error, addresses) => {
        if (error) return callback(error, "", 0);
        const why = addresses.map(({ address }) => this.#rules.refusesAddress(address, local)).find((each) => each);
        const [first] = addresses;
        if (why !== undefined || !first) return callback(new AddressDenied(why ?? `${host} has no address`), "", 0);
        found();
        if (options.all) callback(null, [...addresses]);
        else callback(null, first.address, first.family);
      });
    };
  }

  /** One question per name at a time, whoever else asks. */
  #ask(host: string, answer: Answer): void {
    const answers = this.#asked.get(host);
    if (answers) return void answers.push(answer);
    this.#asked.set(host, [answer]);
    this.#waiting.push(host);
    this.#next();
  }

  #next(): void {
    if (this.#active >= MAX_LOOKUPS) return;
    const host = this.#waiting.shift();
    if (host === undefined) return;
    this.#active++;
    this.#resolve(host, (error, addresses) => {
      this.#active--;
      const answers = this.#asked.get(host) ?? [];
      this.#asked.delete(host);
      for (const answer of answers) answer(error, addresses);
      this.#next();
    });
  }
}
