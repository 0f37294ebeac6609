import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import { shownUrl } from "../../connect/shown-url.js";
import { invalid } from "../../model/fields.js";
import { systemClock, whileAwaited } from "../../runtime/clock.js";
import { haltSignal } from "../../runtime/deadline.js";
import { interrupted } from "../interrupted.js";
import { EXIT } from "../question.js";
import { acts } from "./acts.js";
import { Cast } from "./cast.js";
import { leaveNoTrace } from "./leave-no-trace.js";
import { greeted, NotThere } from "./not-there.js";
import { type Relay, relayTo } from "./relay.js";
import { type Stage, seen } from "./stage.js";
import { conclude, newStory } from "./story.js";
import { viewFor } from "./view.js";
import { holdsAll, Witness } from "./witness.js";

const HELP = `Usage: mcp-discovery demo [--registry URL [--restart-registry COMMAND]] [--json] [--forever]

A registry, three providers and a consumer as processes on this machine. One provider is killed, a fresh one starts;
then every provider is restarted in turn; then the registry is killed and comes back with nothing in its memory. No
call fails. Exit code 0 only if that is so.

  --registry URL              plays with a registry that runs: consul:// etcd:// eureka:// nacos:// http://, under a
                              name nobody else uses, and removes all of it at the end. For the last act the registry
                              is cut off and the demo's own records in it are deleted, nothing else
  --restart-registry COMMAND  restarts the registry for the last act instead: ends when it has
  --json                      events and reports as lines of JSON
  --forever                   plays it again and again until Ctrl-C

Example: mcp-discovery demo --registry consul://127.0.0.1:8500 --restart-registry "docker restart consul"
`;
const PROVIDERS = 3;
/** Calls per second, sent whether the earlier ones were answered or not. */
const RATE = 250;

/** Runs the demo; the answer is the exit code. */
export async function demo(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      registry: { type: "string" },
      "restart-registry": { type: "string" },
      json: { type: "boolean", default: false },
      forever: { type: "boolean", default: false },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const restart = values["restart-registry"];
  if (restart !== undefined && values.registry === undefined) {
    throw invalid("--restart-registry", restart, "given with --registry");
  }
  const halt = haltSignal();
  const { signal } = halt;
  void interrupted().then(() => halt.abort());
  const service = values.registry === undefined ? "orders" : `mcp-demo-${randomBytes(4).toString("hex")}`; // nobody else's
  const cast = new Cast(service, signal);
  const view = viewFor(process.stdout, service, values.json);
  const story = newStory();
  const witness = new Witness(values.registry ?? (await cast.registry()), service);
  const isOutside = values.registry !== undefined;
  let relay: Relay | undefined;
  try {
    if (values.registry !== undefined) {
      await whileAwaited(greeted(values.registry, witness, signal));
      if (restart === undefined) relay = await relayTo(values.registry);
      cast.registryUrl = relay?.url ?? values.registry;
    }
    const outside = isOutside ? { restart, relay } : undefined;
    await whileAwaited(play({ cast, view, story, witness, outside, providers: [], signal }, values.forever));
  } catch (error) {
    if (error instanceof NotThere) {
      process.stderr.write(`mcp-discovery demo: ${error.message}\n`);
      return EXIT.unreachable;
    }
    if (!signal.aborted) throw error;
  } finally {
    halt.abort();
    await whileAwaited(isOutside ? leaveNoTrace(cast, view, witness) : cast.leave());
    relay?.close();
    await witness.close();
  }
  return conclude(view, story);
}

async function play(stage: Omit<Stage, "visible">, forever: boolean): Promise<void> {
  const { cast, view, story, providers, witness, signal } = stage;
  const where = shownUrl(stage.outside ? witness.name : cast.registryUrl);
  view.event("registry", `registry at ${where}`, { url: where, service: cast.service });
  providers.push(...(await Promise.all(Array.from({ length: PROVIDERS }, () => cast.provider()))));
  const ids = providers.map(({ id }) => id);
  view.event("providers", `providers: ${ids.join(", ")}`, { ids });
  await seen("first list of every provider", stage, (signal) =>
    witness.until((listed) => holdsAll(listed, cast.leasesOf(providers)), signal),
  );
  const begun = systemClock.now();
  let tell: (at: number) => void = () => {};
  const visible = (): Promise<number> =>
    new Promise((resolve) => {
      tell = resolve;
    });
  const broken = new Promise<never>((_, died) => {
    cast.consumer(RATE, {
      report(report) {
        story.report = report;
        view.report(report, (systemClock.now() - begun) / 1_000);
      },
      visible: (at) => tell(at),
      died,
    });
  });
  do await Promise.race([broken, acts({ ...stage, visible })]);
  while (forever && !signal.aborted);
}
