import { invalid } from "../model/fields.js";

/** What container platforms and terminals send to whoever is to end. */
const USUAL: readonly NodeJS.Signals[] = ["SIGTERM", "SIGINT"];

/** Which signals are meant: the usual ones, those named, or none. @throws {DiscoveryError} `INVALID_OPTION` */
export function signalsOf(path: string, given: unknown): readonly NodeJS.Signals[] {
  if (given === undefined || given === true) return USUAL;
  if (given === false) return [];
  if (Array.isArray(given) && given.every((each) => typeof each === "string" && /^SIG[A-Z0-9]+$/.test(each))) {
    return given as NodeJS.Signals[];
  }
  throw invalid(path, given, 'true, false or an array of signal names such as "SIGTERM"');
}

/**
 * Calls `run` at the first of these signals, once. A second signal finds no listener of ours any more, so that Node ends
 * the process as it always does: an impatient operator is obeyed. Returns what ends the listening.
 */
export function onFirstSignal(signals: readonly NodeJS.Signals[], run: () => void): () => void {
  const off = (): void => {
    for (const signal of signals) process.off(signal, heard);
  };
  const heard = (): void => {
    off();
    run();
  };
  for (const signal of signals) process.on(signal, heard);
  return off;
}
