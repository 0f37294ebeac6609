import { asking, printable, questionIn, say } from "./question.js";

const HELP = `Usage: mcp-discovery list URL [options]

The services a registry knows, one a line.

  --json       one line of JSON
  --timeout S  seconds to wait (default 10)

Example: mcp-discovery list http://127.0.0.1:8761
`;

/** Lists the names of services. */
export async function list(args: readonly string[]): Promise<number> {
  const question = questionIn(args, ["URL"], HELP);
  if (!question) return 0;
  return asking(question.words, question, async ([registry], signal) => {
    if (!registry?.services) {
      process.stderr.write(`${registry?.name} cannot tell which services it knows\n`);
      return 1;
    }
    const names = [...(await registry.services({ signal }))].sort();
    if (question.json) say(JSON.stringify(names));
    else for (const name of names) say(printable(name));
    return 0;
  });
}
