import { invalid } from "./fields.js";

/** Whether an instance's version lies in a range; undefined, and what is no version, lies in none. */
export type VersionRange = (version: string | undefined) => boolean;

interface Version {
  /** Major, minor, patch. */
  readonly parts: readonly [number, number, number];
  /** What follows the hyphen, cut at its dots; empty for a release. */
  readonly pre: readonly (number | string)[];
}

type Operator = "<" | "<=" | ">" | ">=" | "=";

interface Comparator {
  readonly operator: Operator;
  readonly version: Version;
}

const IDENTIFIERS = "[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*";
const VERSION = new RegExp(
  `^[v=]?(\\d{1,15})(?:\\.(\\d{1,15}))?(?:\\.(\\d{1,15}))?(?:-(${IDENTIFIERS}))?(?:\\+${IDENTIFIERS})?$`,
);
const PART = "(\\d{1,15}|[xX*])";
const PARTIAL = new RegExp(
  `^(\\^|~>?|[<>]=?|=)?v?${PART}(?:\\.${PART})?(?:\\.${PART})?(?:-(${IDENTIFIERS}))?(?:\\+${IDENTIFIERS})?$`,
);
const ANY = new Set(["x", "X", "*"]);
/** Longer ranges are a mistake, or an attempt to keep us busy. */
const MAX_LENGTH = 256;
/** Answers kept per range. */
const MAX_KNOWN = 1_000;

/**
 * Reads a range as npm writes it: `^1.2`, `~1.2.3`, `1.x`, `>=1 <3`, `1.2 - 2.3`, alternatives with `||`. A prerelease
 * is in a range only if the range itself names one of the same major, minor and patch.
 *
 * Versions of instances may be short: `v1.2` counts as 1.2.0.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`, naming `path`
 */
export function versionRange(path: string, range: unknown): VersionRange {
  if (typeof range !== "string" || range.length > MAX_LENGTH)
    throw invalid(path, range, "a version range such as ^1.2");
  const alternatives = range.split("||").map((alternative) => {
    const comparators = comparatorsOf(alternative.trim());
    if (!comparators) throw invalid(path, range, 'a version range such as "^1.2", "1.x" or ">=1.2 <3"');
    return comparators;
  });
  const known = new Map<string, boolean>(); // a service has few versions and may have many instances
  return (text) => {
    if (text === undefined) return false;
    let answer = known.get(text);
    if (answer !== undefined) return answer;
    const version = parsed(text);
    answer = version !== undefined && alternatives.some((comparators) => satisfies(version, comparators));
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(text, answer);
    return answer;
  };
}

function parsed(text: string): Version | undefined {
  const match = VERSION.exec(text.trim());
  if (!match) return undefined;
  const [, major, minor, patch, pre] = match;
  return { parts: [Number(major), Number(minor ?? 0), Number(patch ?? 0)], pre: identifiers(pre) };
}

function identifiers(pre: string | undefined): readonly (number | string)[] {
  return pre === undefined ? [] : pre.split(".").map((each) => (/^\d+$/.test(each) ? Number(each) : each));
}

function satisfies(version: Version, comparators: readonly Comparator[]): boolean {
  if (!comparators.every(({ operator, version: bound }) => holds(compared(version, bound), operator))) return false;
  if (version.pre.length === 0) return true;
  return comparators.some(({ version: { parts, pre } }) => pre.length > 0 && sameParts(parts, version.parts));
}

function holds(order: number, operator: Operator): boolean {
  switch (operator) {
    case "<":
      return order < 0;
    case "<=":
      return order <= 0;
    case ">":
      return order > 0;
    case ">=":
      return order >= 0;
    case "=":
      return order === 0;
  }
}

function sameParts(a: Version["parts"], b: Version["parts"]): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2];
}

/** Semver's order (its section 11): a prerelease comes before its release, numbers before words. */
function compared(a: Version, b: Version): number {
  for (const index of [0, 1, 2] as const) {
    if (a.parts[index] !== b.parts[index]) return a.parts[index] - b.parts[index];
  }
  if (a.pre.length === 0 || b.pre.length === 0) return b.pre.length - a.pre.length;
  for (let index = 0; index < Math.min(a.pre.length, b.pre.length); index++) {
    const order = comparedIdentifiers(a.pre[index] as number | string, b.pre[index] as number | string);
    if (order !== 0) return order;
  }
  return a.pre.length - b.pre.length;
}

function comparedIdentifiers(a: number | string, b: number | string): number {
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** All comparators that must hold together; undefined if the text is no range. */
function comparatorsOf(text: string): readonly Comparator[] | undefined {
  const hyphen = /^(\S+)\s+-\s+(\S+)$/.exec(text);
  const words = hyphen ? [`>=${hyphen[1]}`, `<=${hyphen[2]}`] : text.replace(/([<>=~^]+)\s+/g, "$1").split(/\s+/); // ">= 1.2" is one word
  const comparators: Comparator[] = [];
  for (const word of words) {
    const match = PARTIAL.exec(word === "" ? "*" : word);
    if (!match) return undefined;
    comparators.push(...bounds(match));
  }
  return comparators;
}

/** What one word of a range asks for, as at most two bounds. */
function bounds([, operator = "=", ...texts]: RegExpExecArray): Comparator[] {
  const parts = texts.slice(0, 3).map((part) => (part === undefined || ANY.has(part) ? undefined : Number(part)));
  const [major, minorGiven, patchGiven] = parts;
  const minor = major === undefined ? undefined : minorGiven;
  const patch = minor === undefined ? undefined : patchGiven;
  const lowest = at(major ?? 0, minor ?? 0, patch ?? 0, patch === undefined ? [] : identifiers(texts[3]));
  if (major === undefined) return operator === "<" || operator === ">" ? [NOTHING] : [ANYTHING];
  const nextMajor = at(major + 1, 0, 0, [0]);
  const nextMinor = at(major, (minor ?? 0) + 1, 0, [0]);
  const beyond = minor === undefined ? nextMajor : nextMinor; // the first version past what is not written out
  switch (operator) {
    case "^":
      return [is(">=", lowest), is("<", caret(major, minor, patch))];
    case "~":
    case "~>":
      return [is(">=", lowest), is("<", beyond)];
    case "=":
      return patch === undefined ? [is(">=", lowest), is("<", beyond)] : [is("=", lowest)];
    case ">":
      return [patch === undefined ? is(">=", { ...beyond, pre: [] }) : is(">", lowest)];
    case "<=":
      return [patch === undefined ? is("<", beyond) : is("<=", lowest)];
    case "<":
      return [is("<", patch === undefined ? { ...lowest, pre: [0] } : lowest)];
    default:
      return [is(">=", lowest)];
  }
}

/** What a caret lets grow: everything right of the first part that is not 0. */
function caret(major: number, minor: number | undefined, patch: number | undefined): Version {
  if (major > 0 || minor === undefined) return at(major + 1, 0, 0, [0]);
  if (minor > 0 || patch === undefined) return at(0, minor + 1, 0, [0]);
  return at(0, 0, patch + 1, [0]);
}

function at(major: number, minor: number, patch: number, pre: Version["pre"]): Version {
  return { parts: [major, minor, patch], pre };
}

function is(operator: Operator, version: Version): Comparator {
  return { operator, version };
}

const ANYTHING = is(">=", at(0, 0, 0, []));
const NOTHING = is("<", at(0, 0, 0, [0]));
