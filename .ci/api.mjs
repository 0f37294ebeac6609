// Writes the API reports under docs/api, or with --check fails if they differ from what the code exports.
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Extractor, ExtractorConfig } from "@microsoft/api-extractor";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const check = process.argv.includes("--check");
const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const entries = Object.fromEntries(
  Object.entries(exports)
    .filter(([, target]) => target.types)
    .map(([name, { types }]) => [name === "." ? "index" : name.slice(2), types]),
);
mkdirSync(join(root, "docs", "api"), { recursive: true });
mkdirSync(join(root, ".cache", "api"), { recursive: true });

let differs = false;
for (const [name, entry] of Object.entries(entries)) {
  const extractorConfig = ExtractorConfig.prepare({
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: join(root, entry),
      compiler: { tsconfigFilePath: join(root, "tsconfig.json") },
      apiReport: {
        enabled: true,
        reportFileName: `${name}.api.md`,
        reportFolder: join(root, "docs/api"),
        reportTempFolder: join(root, ".cache/api"),
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        compilerMessageReporting: { default: { logLevel: "error" } },
        extractorMessageReporting: { default: { logLevel: "none" } },
        tsdocMessageReporting: { default: { logLevel: "none" } },
      },
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: join(root, "package.json"),
  });
  const report = join(root, "docs/api", `${name}.api.md`);
  if (check && !existsSync(report)) differs = true;
  const result = Extractor.invoke(extractorConfig, { localBuild: !check, showVerboseMessages: false });
  differs ||= result.apiReportChanged && check;
  if (result.errorCount > 0) process.exitCode = 1;
}
if (differs) {
  console.error("The public API differs from docs/api: run `npm run api` and look at the difference.");
  process.exitCode = 1;
}
