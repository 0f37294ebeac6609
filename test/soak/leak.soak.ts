import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, it } from "vitest";

/** How long instances come and go; 600 gives the ten minutes of the nightly run. */
const SECONDS = Number(process.env["SOAK_SECONDS"] ?? 15);
const NAMES = Number(process.env["SOAK_NAMES"] ?? 100_000);
const UPDATES = Number(process.env["SOAK_UPDATES"] ?? 1_000_000);
/** What a heap may differ by without having grown, in KiB: three times what was seen. */
const NOISE_KIB = 1_024;

/** What `soak-process.mjs` tells when everything is closed. */
interface Weighed {
  /** The heap at even intervals, in KiB, each time after what can go has gone. */
  readonly heap: readonly number[];
  /** Timers and sockets that are still open. */
  readonly open: readonly string[];
  readonly warnings: readonly string[];
}

describe("the heap stays flat, nothing is left open, and the process ends by itself", () => {
  it("after a million updates from a memory registry to a resolver", async () => {
    type Updates = Weighed & { readonly updates: number; readonly changes: number; readonly listed: number };
    const run = await soak<Updates>("updates", UPDATES);
    tell("soak updates C-16", run, `${run.updates} updates, ${run.changes} changes told`);
    judge(run);
    assert.ok(run.changes > UPDATES / 10, "the resolver heard of them");
    assert.equal(run.listed, 32);
  });

  it("after names that nobody knows were called without end, and the one that is known is called as ever", async () => {
    type Names = Weighed & { readonly refused: number; readonly isWatched: boolean; readonly known: string };
    const run = await soak<Names>("names", NAMES);
    tell("soak names", run, `${run.refused} names refused`);
    judge(run);
    assert.deepEqual([run.refused, run.isWatched, run.known], [NAMES, true, "orders@127.0.0.1:10000"]);
  });

  it("after instances with real sockets have come and gone", async () => {
    type Churn = Weighed & { readonly cycles: number; readonly calls: number; readonly failures: readonly string[] };
    const run = await soak<Churn>("churn", SECONDS);
    tell("soak churn C-15 C-16", run, `${run.calls} calls, ${run.failures.length} failed, ${run.cycles} deploys`);
    judge(run);
    assert.deepEqual(run.failures, []);
  });
});

async function soak<T extends Weighed>(kind: string, amount: number): Promise<T> {
  const script = fileURLToPath(new URL("./soak-process.mjs", import.meta.url));
  const child = spawn(process.execPath, ["--expose-gc", script, kind, String(amount)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const [code] = await once(child, "close");
  assert.equal(code, 0);
  return JSON.parse(output);
}

/**
 * By how much the least of the last third lies above the least of the middle one, in KiB: what is not noise is a leak.
 * The first third fills what is bounded: a registry remembers the last ten thousand who left.
 */
function growth({ heap }: Weighed): number {
  const third = Math.floor(heap.length / 3);
  return Math.min(...heap.slice(-third)) - Math.min(...heap.slice(third, -third));
}

function judge(run: Weighed): void {
  assert.ok(run.heap.length >= 6, "it was weighed often enough to say something");
  assert.ok(growth(run) <= NOISE_KIB, `the heap grew: ${run.heap.join(", ")} KiB`);
  assert.deepEqual(run.open, []);
  assert.deepEqual(run.warnings, []);
}

function tell(name: string, run: Weighed, rest: string): void {
  console.info(
    `${name}: ${rest}, heap ${growth(run)} KiB more at ${run.heap.at(-1)} KiB, ${run.open.length} handles open`,
  );
}
