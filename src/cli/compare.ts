import { compareRegistries, type RegistryComparison } from "../registry/compare.js";
import type { Discovery } from "../registry/registry.js";
import { asking, printable, questionIn, say } from "./question.js";

const HELP = `Usage: mcp-discovery compare URL URL [options]

What one registry knows and the other does not.

  --service NAME  only this service; may be given several times (default all that either knows)
  --json          the whole answer as one line of JSON
  --timeout S     seconds for all of it (default 10)

Ends with 0 if they agree, 1 if they differ, 4 if one cannot be reached.

Example: mcp-discovery compare http://old:8761 consul://new:8500
`;

/** Compares two registries. */
export async function compare(args: readonly string[]): Promise<number> {
  const question = questionIn(args, ["URL", "URL"], HELP);
  if (!question) return 0;
  const { words, services, json } = question;
  return asking(words, question, async (registries, signal) => {
    const [first, second] = registries as [Discovery, Discovery];
    const comparison = await compareRegistries(first, second, {
      services: services.length > 0 ? services : undefined,
      signal,
    });
    if (json) say(JSON.stringify(comparison));
    else for (const line of linesOf(comparison)) say(printable(line));
    return comparison.equal ? 0 : 1;
  });
}

function linesOf({ first, second, equal, compared, services, doubtful }: RegistryComparison): readonly string[] {
  const names = { first, second };
  return [
    ...services.flatMap(({ service, onlyFirst, onlySecond, different }) => [
      service,
      ...onlyFirst.map((id) => `  - ${id}   only in ${first}`),
      ...onlySecond.map((id) => `  + ${id}   only in ${second}`),
      ...different.flatMap(({ id, fields }) =>
        fields.map(
          (each) => `  ~ ${id}   ${each.field}: ${JSON.stringify(each.first)} → ${JSON.stringify(each.second)}`,
        ),
      ),
    ]),
    ...doubtful.map(
      (which) => `${names[which]} has just started or has unreadable records: what it lacks proves little`,
    ),
    `${compared} services compared, ${equal ? "no difference" : `${services.length} differ`}`,
  ];
}
