import { createResolver } from "../index.js";
import type { ServiceInstance } from "../model/instance.js";
import { haltSignal, untilAborted } from "../runtime/deadline.js";
import { interrupted } from "./interrupted.js";
import { asking, EXIT, printable, questionIn, say } from "./question.js";
import { lineOf } from "./resolve.js";

const HELP = `Usage: mcp-discovery watch URL SERVICE [options]

The instances of a service, and then every change: + for new, ~ for changed, - for gone.

  --json  each change as one line of JSON

Runs until it is interrupted (130). A registry that is away does not end it.

Example: mcp-discovery watch http://127.0.0.1:8761 orders
`;

/** Follows one service until it is interrupted. */
export async function watch(args: readonly string[]): Promise<number> {
  const question = questionIn(args, ["URL", "SERVICE"], HELP);
  if (!question) return 0;
  const [url = "", name = ""] = question.words;
  return asking([url], { timeoutMs: Number.POSITIVE_INFINITY }, async ([registry]) => {
    const over = haltSignal();
    void interrupted().then(() => over.abort());
    const resolver = createResolver({ registry: registry as NonNullable<typeof registry> });
    const service = resolver.service(name);
    const tell = (sign: string, event: string, instances: readonly ServiceInstance[]): void => {
      for (const instance of instances)
        say(question.json ? JSON.stringify({ event, instance }) : `${sign} ${lineOf(instance)}`);
    };
    service.on("changed", ({ difference }) => {
      tell("+", "added", difference.added);
      tell("~", "updated", difference.updated);
      tell("-", "removed", difference.removed);
    });
    service.on("stale", ({ cause }) => process.stderr.write(`${printable(`stale: ${cause?.message ?? "silence"}`)}\n`));
    service.on("fresh", () => process.stderr.write("fresh\n"));
    void service.ready().catch((error: unknown) => process.stderr.write(`${printable(String(error))}\n`));
    await untilAborted(new Promise<never>(() => {}), over.signal).catch(() => {});
    await resolver.close();
    return EXIT.interrupted;
  });
}
