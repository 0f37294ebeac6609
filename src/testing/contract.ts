import assert from "node:assert/strict";
import type { Capabilities } from "../registry/registry.js";
import { whileAwaited } from "../runtime/clock.js";
import { FAULTS } from "./contract-faults.js";
import {
  LEASES,
  WITH_CONFLICTS,
  WITH_FENCING,
  WITH_ROOM,
  WITHOUT_CONFLICTS,
  WITHOUT_FENCING,
  WITHOUT_ROOM,
} from "./contract-leases.js";
import { LISTS, WITH_ABSENCE, WITH_EPOCH, WITH_REASONS, WITHOUT_ABSENCE, WITHOUT_REASONS } from "./contract-lists.js";
import { Stage, type Stories, type Story } from "./contract-stage.js";
import type { ContractFaults, ContractSubject } from "./contract-subject.js";
import { ENDED_FOR_GOOD, REVIVED, TIME } from "./contract-time.js";

/** What a registry under test can do, as it declares it. What it cannot do is checked as well: as what it does instead. */
export type ContractNeeds = Partial<Pick<Capabilities, "reasons" | "epoch" | "absence">> & {
  /** Whether it holds as much metadata as an instance may have; else it refuses what is too long. */
  readonly room?: boolean;
  /** Whether it tells two lives of one id apart; else it takes the beats of either. */
  readonly fencing?: boolean;
  /** Whether it refuses an id that lives on another address; else whoever comes last has it. */
  readonly conflicts?: boolean;
  /** Whether an expired lease has ended; else a late beat brings it back. */
  readonly endsLeases?: boolean;
  /** Whether the subject can let time pass. */
  readonly time?: boolean;
  /** Which faults the subject offers. @default none */
  readonly faults?: readonly (keyof ContractFaults)[];
};

/** One promise every registry must keep. Run it with any test runner: `for (const { name, run } of …) it(name, run)`. */
export interface ContractCase {
  readonly name: string;
  readonly run: () => Promise<void>;
}

/**
 * The contract of a registry, as cases that are tied to no test runner.
 *
 * @param make a fresh registry for each case
 * @param has what the registry under test declares; by default all of it, and no faults
 * @throws {AssertionError} from a case, if the registry does or declares otherwise
 */
export function registryContract(
  make: () => Promise<ContractSubject>,
  has: ContractNeeds = {},
): readonly ContractCase[] {
  return storiesOf(has).flatMap((stories) =>
    Object.entries(stories).map(([name, story]) => ({ name, run: () => whileAwaited(told(make, story, has)) })),
  );
}

function storiesOf(has: ContractNeeds): readonly Stories[] {
  const time = has.time !== false;
  return [
    LEASES,
    has.room === false ? WITHOUT_ROOM : WITH_ROOM,
    has.fencing === false ? WITHOUT_FENCING : WITH_FENCING,
    has.conflicts === false ? WITHOUT_CONFLICTS : WITH_CONFLICTS,
    LISTS,
    has.absence === false ? WITHOUT_ABSENCE : WITH_ABSENCE,
    has.reasons === false ? WITHOUT_REASONS : WITH_REASONS,
    ...(has.epoch === false ? [] : [WITH_EPOCH]),
    ...(time ? [TIME, has.endsLeases === false ? REVIVED : ENDED_FOR_GOOD] : []),
    ...(has.faults ?? []).map((fault) => FAULTS[fault]),
  ];
}

async function told(make: () => Promise<ContractSubject>, story: Story, has: ContractNeeds): Promise<void> {
  const subject = await make();
  const stage = new Stage(subject);
  try {
    const { capabilities } = subject.registry;
    for (const need of ["reasons", "epoch", "absence"] as const) {
      assert.equal(capabilities[need], has[need] ?? true, `the registry declares ${need} as it is tested`);
    }
    assert.equal(subject.advance !== undefined, has.time !== false, "the subject can let time pass as it declares");
    for (const fault of has.faults ?? []) assert.ok(subject.faults?.[fault], `the subject offers the fault ${fault}`);
    await story(stage);
  } finally {
    await stage.clear();
    await subject.close();
  }
}
