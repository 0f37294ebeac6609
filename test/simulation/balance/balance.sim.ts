import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, it } from "vitest";

const MAIN = fileURLToPath(new URL("main.mjs", import.meta.url));
const SEEDS = "1,2,3";

type Figure = "meanMs" | "p99" | "p999" | "errors";
type Figures = Readonly<Record<Figure | "halfShareS", number>>;
type Table = Readonly<Record<string, { readonly figures: Readonly<Record<string, Figures>> }>>;

/** At most so many times what round robin gets, of which figure: the latency-weighted's bar, then the adaptive's. */
const BARS: readonly (readonly [
  scenario: string,
  of: Figure,
  latencyWeighted: number,
  of: Figure,
  adaptive: number,
])[] = [
  ["E1", "p99", 1.2, "p99", 1.1],
  ["E2", "p99", 0.12, "p999", 0.15],
  ["E3", "p99", 0.45, "p99", 0.25],
  ["E3b", "meanMs", 0.5, "p99", 0.3],
  ["E4", "p99", 0.08, "p99", 0.06],
  ["E5", "p99", 0.2, "p99", 0.15],
  ["E6", "errors", 0.15, "errors", 0.15],
  ["E7", "errors", 0.05, "errors", 0.02],
  ["E8", "p99", 1.2, "p99", 1.15],
  ["E9", "p99", 0.1, "p99", 0.1],
  ["E10", "p99", 0.7, "p99", 0.7],
  ["E11", "p99", 0.2, "p99", 0.18],
];

describe("in the simulation", () => {
  let table: Table = {};
  beforeAll(async () => {
    table = await played(["--seeds", SEEDS, "--contestants", "round-robin,latency-weighted,adaptive"]);
  }, 180_000);

  for (const [scenario, ofWeighted, weighted, ofAdaptive, adaptive] of BARS) {
    it(`the latency-weighted has at most ${weighted} of round robin's ${ofWeighted} in ${scenario}`, () => {
      below(table, scenario, "latency-weighted", ofWeighted, weighted);
    });
    it(`the adaptive has at most ${adaptive} of round robin's ${ofAdaptive} in ${scenario}`, () => {
      below(table, scenario, "adaptive", ofAdaptive, adaptive);
    });
  }

  it("a cold newcomer has half of its share within half a minute, and within a minute with the adaptive", () => {
    assert.ok(figures(table, "E9", "latency-weighted").halfShareS <= 30);
    assert.ok(figures(table, "E9", "adaptive").halfShareS <= 60);
  });

  it("ejection leaves no balancer more than half a percent of errors where one of ten fails", () => {
    for (const name of ["round-robin", "latency-weighted", "adaptive"]) {
      const { errors } = figures(table, "E6 ejecting", name);
      assert.ok(errors <= 0.5, `${name}: ${errors} %`);
    }
  });

  it("the bare law is drawn to one that fails fast, which is why it has guards", async () => {
    const bare = await played(["--seeds", "1", "--scenarios", "E6", "--contestants", "the bare law"]);
    assert.ok(figures(bare, "E6", "the bare law").errors > 40);
  });

  it("hearing what servers report helps few calls beside many others', and harms little where it cannot help", async () => {
    const names = ["adaptive", "adaptive that hears reports"] as const;
    const heard = await played(["--seeds", SEEDS, "--scenarios", "R1,R2", "--contestants", names.join(",")]);
    const ratio = (id: string, of: Figure) => figures(heard, id, names[1])[of] / figures(heard, id, names[0])[of];
    assert.ok(ratio("R1", "p99") <= 1.06, `R1: ${ratio("R1", "p99")}`);
    assert.ok(ratio("R2", "meanMs") < 1, `R2: ${ratio("R2", "meanMs")}`);
  });

  it("the same seed gives the same run", async () => {
    const args = ["--seeds", "7", "--scenarios", "E3,E6 ejecting,E9", "--contestants", "adaptive,least-requests"];
    assert.deepEqual(await played(args), await played(args));
  });
});

function below(table: Table, scenario: string, balancer: string, of: Figure, bar: number): void {
  const ratio = figures(table, scenario, balancer)[of] / figures(table, scenario, "round-robin")[of];
  assert.ok(ratio <= bar, `${scenario}, ${balancer}: ${of} is ${ratio.toFixed(3)} of round robin's, at most ${bar}`);
}

function figures(table: Table, scenario: string, balancer: string): Figures {
  const found = table[scenario]?.figures[balancer];
  assert.ok(found, `no ${balancer} in ${scenario}`);
  return found;
}

async function played(args: readonly string[]): Promise<Table> {
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...args]);
  return JSON.parse(stdout) as Table;
}
