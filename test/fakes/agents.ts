import { type Agent, type CreateAgentOptions, createAgent } from "../../src/index.js";
import type { MemoryRegistry } from "../../src/registry/memory-options.js";
import { ManualClock } from "../../src/testing/index.js";
import { type FaultyRegistry, faultyRegistry } from "./registrar.js";

const EVENTS = [
  "readyFailed",
  "registered",
  "registerFailed",
  "beatMissed",
  "lost",
  "conflict",
  "unlisted",
  "relisted",
  "draining",
  "stopped",
] as const;

/** An agent on a clock of its own, its registry behind a network that can fail, and what befell it. */
export interface AgentOnStage {
  readonly agent: Agent;
  readonly clock: ManualClock;
  readonly faulty: FaultyRegistry;
  /** Names of the events so far. */
  readonly events: string[];
  listed(): Promise<string[]>;
}

/** Makes one that is not started yet. With another clock for the registry, one of the two can stand still. */
export function makeAgent(options: Partial<CreateAgentOptions> = {}, registryClock?: ManualClock): AgentOnStage {
  const clock = new ManualClock();
  const faulty = faultyRegistry(registryClock ?? clock);
  const agent = createAgent({
    registry: faulty.registry,
    service: "orders",
    port: 3_000,
    host: "127.0.0.1",
    clock,
    random: () => 0.5,
    ...options,
  });
  const events: string[] = [];
  for (const event of EVENTS) agent.on(event, () => events.push(event));
  const listed = async (): Promise<string[]> => (await instancesOf(faulty)).map(({ id }) => id);
  return { clock, faulty, agent, events, listed };
}

export async function startAgent(...given: Parameters<typeof makeAgent>): Promise<AgentOnStage> {
  const made = makeAgent(...given);
  await made.agent.start();
  return made;
}

/** Stops an agent whose time must be moved for that. */
export async function stopAgent(agent: Agent, clock: ManualClock): Promise<void> {
  const stopped = agent.stop();
  await clock.advance(20_000);
  await stopped;
}

export async function instancesOf({ memory }: { readonly memory: MemoryRegistry }, service = "orders") {
  const update = await memory.list(service);
  return update.type === "reset" ? update.instances : [];
}
