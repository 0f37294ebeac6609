import type { Registry } from "../registry/registry.js";

/** A registry to be tested, fresh for each case; the server behind it may be shared if each has its own service. */
export interface ContractSubject {
  readonly registry: Registry;
  /** The name of the service the case plays with; nobody else may use it, nor names that begin with it. @default "orders" */
  readonly service?: string;
  /** How long leases are asked to live, in milliseconds: short where time is real. @default 9_000 */
  readonly ttlMs?: number;
  /** Lets the registry's time pass: a clock held by hand, or a real pause. */
  readonly advance?: (ms: number) => Promise<void>;
  /** How exactly `advance` can be relied on, in milliseconds; 500 for a real pause. @default 1 */
  readonly precisionMs?: number;
  /** How old a list may be, in milliseconds: each is asked for after a pause of that length. @default 0, lists are fresh */
  readonly settleMs?: number;
  readonly faults?: ContractFaults;
  readonly close: () => Promise<void>;
}

/** What can be done to the server behind a registry. Those that begin something return what ends it. */
export interface ContractFaults {
  /** Kills it and starts it on the same address, without anything it knew. */
  readonly restart?: () => Promise<void>;
  /** Puts a record of that service there which cannot be read. */
  readonly spoil?: (service: string) => Promise<void>;
  /** Answers end in the middle. */
  readonly truncate?: () => () => void;
  /** Nothing is answered any more, though connections stand. */
  readonly silence?: () => () => void;
  /** Everything is refused for want of rights. */
  readonly forbid?: () => () => void;
  /** Everything is refused because it is too much. */
  readonly overload?: () => () => void;
}
