// Sums the runners' own reports and the failed steps: N passed, N failed, N skipped.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [stepsFailed, folder] = process.argv.slice(2);
const total = { passed: 0, failed: Number(stepsFailed), skipped: 0 };
for (const name of readdirSync(folder).filter((each) => each.endsWith(".json"))) {
  const report = JSON.parse(readFileSync(join(folder, name), "utf8"));
  total.passed += report.numPassedTests;
  total.failed += report.numFailedTests + (report.numTotalTests === 0 ? 1 : 0);
  total.skipped += report.numPendingTests + report.numTodoTests;
}
const unexplained = existsSync(join(folder, "failed")) && total.failed === 0;
if (unexplained) total.failed = 1; // an error outside of any test
if (total.skipped > 0) console.error("Skipped tests are failures here: everything that is tested can run in CI.");
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed > 0 || total.skipped > 0 ? 1 : 0;
