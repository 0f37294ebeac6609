import { hostPort, type ServiceInstance } from "../model/instance.js";
import { nearest } from "../runtime/options.js";
import { asking, EXIT, printable, questionIn, say } from "./question.js";

const HELP = `Usage: mcp-discovery resolve URL SERVICE [options]

The instances of a service, one a line: status, address, weight, id.

  --json       each as one line of JSON
  --timeout S  seconds to wait (default 10)

Ends with 3 if there is none.

Example: mcp-discovery resolve consul://127.0.0.1:8500 orders --json
`;

/** Lists the instances of one service. */
export async function resolve(args: readonly string[]): Promise<number> {
  const question = questionIn(args, ["URL", "SERVICE"], HELP);
  if (!question) return 0;
  const [url = "", service = ""] = question.words;
  return asking([url], question, async ([registry], signal) => {
    const update = await registry?.list(service, { signal });
    const instances = update?.type === "reset" ? update.instances : [];
    for (const instance of instances) say(question.json ? JSON.stringify(instance) : lineOf(instance));
    if (instances.length > 0) return 0;
    const why = update?.type === "absent" ? "does not know" : "lists no instance of";
    const near = nearest(service, (await registry?.services?.({ signal }).catch(() => [])) ?? []);
    const hint = near === undefined || near === service ? "" : `, did you mean ${near}?`;
    process.stderr.write(`${registry?.name} ${why} ${printable(`${service}${hint}`)}\n`);
    return EXIT.notFound;
  });
}

/** An instance as a person reads it. */
export function lineOf({ status, protocol, host, port, weight, id }: ServiceInstance): string {
  return printable(`${status.padEnd(9)} ${protocol}://${hostPort(host, port)} weight ${weight} ${id}`);
}
