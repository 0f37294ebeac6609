import { parseArgs } from "node:util";
import { connect } from "../connect.js";
import { DiscoveryError } from "../model/errors.js";
import { invalid } from "../model/fields.js";
import type { Discovery } from "../registry/registry.js";
import { systemClock, whileAwaited } from "../runtime/clock.js";
import { haltSignal, within } from "../runtime/deadline.js";

/** How a command ends, beside 0 for well, 1 for failed or different, and 2 for wrong use. */
export const EXIT = { notFound: 3, unreachable: 4, interrupted: 130 } as const;

/** Errors that mean that the registry could not be reached, or did not let itself be asked. */
const UNREACHABLE = new Set(["UNAVAILABLE", "TIMEOUT", "OVERLOADED"]);
/** A question is answered within this, in milliseconds, unless `--timeout` says otherwise. */
const TIMEOUT_MS = 10_000;
// biome-ignore lint/suspicious/noControlCharactersInRegex: what a registry says must not steer a terminal
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** What was asked on the command line. */
export interface Question {
  readonly words: readonly string[];
  readonly services: readonly string[];
  readonly json: boolean;
  readonly timeoutMs: number;
}

/** Reads a command's arguments: so many words, and the options all questions share. Undefined after printing help. */
export function questionIn(args: readonly string[], words: readonly string[], help: string): Question | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      service: { type: "string", multiple: true, default: [] },
      json: { type: "boolean", default: false },
      timeout: { type: "string", default: String(TIMEOUT_MS / 1_000) },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(help);
    return undefined;
  }
  if (positionals.length !== words.length) throw miscounted(positionals, words, help);
  const seconds = Number(values.timeout);
  if (!(seconds > 0 && seconds <= 3_600)) throw invalid("--timeout", values.timeout, "seconds, up to 3600");
  return { words: positionals, services: values.service, json: values.json, timeoutMs: seconds * 1_000 };
}

function miscounted(given: readonly string[], words: readonly string[], help: string): DiscoveryError {
  const missing = words[given.length];
  const wrong = missing ? `${missing} is missing` : `${JSON.stringify(given[words.length])} is one word too many`;
  return new DiscoveryError("INVALID_OPTION", `${wrong}. ${help.slice(0, help.indexOf("\n"))}`);
}

/** Asks registries by their URLs, closes them afterwards, and says what is wrong by an exit code. */
export async function asking(
  urls: readonly string[],
  { timeoutMs }: Pick<Question, "timeoutMs">,
  ask: (registries: readonly Discovery[], signal: AbortSignal) => Promise<number>,
): Promise<number> {
  const connections = urls.map((url) => connect<Discovery>("URL", url));
  const registries = connections.map(({ registry }) => registry as Discovery);
  const ground = { clock: systemClock, signal: haltSignal().signal };
  try {
    const what = registries.map(({ name }) => name).join(", ");
    const asked = Number.isFinite(timeoutMs)
      ? within(what, timeoutMs, ground, (signal) => ask(registries, signal))
      : ask(registries, ground.signal);
    return await whileAwaited(asked);
  } catch (error) {
    if (!DiscoveryError.is(error) || !UNREACHABLE.has(error.code)) throw error;
    process.stderr.write(`${printable(error.message)}\n`);
    return EXIT.unreachable;
  } finally {
    await Promise.all(connections.map(({ release }) => release()));
  }
}

/** A text from a registry, without what would move the cursor or turn the reading round. */
export function printable(text: string): string {
  return text.replace(CONTROL, "\ufffd");
}

let hasReader = false;

/** One line of data. Whoever stops reading (`| head -1`) ends the command. */
export function say(line: string): void {
  if (!hasReader) process.stdout.once("error", () => process.exit(0));
  hasReader = true;
  process.stdout.write(`${line}\n`);
}
