import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { registryContract } from "mcp-discovery/testing";
import { folderRegistry } from "./folder.mjs";

/** A fresh registry for each case, its time in our hands. */
async function make() {
  const folder = await mkdtemp(join(tmpdir(), "folder-registry-"));
  let passed = 0;
  return {
    registry: folderRegistry(folder, { intervalMs: 100, now: () => Date.now() + passed }),
    precisionMs: 500,
    advance: async (ms) => {
      passed += ms;
    },
    faults: { spoil: (service) => writeFile(join(folder, service, "spoilt.json"), "{") },
    close: () => rm(folder, { recursive: true }),
  };
}

describe("folderRegistry", () => {
  const contract = registryContract(make, { reasons: false, epoch: false, faults: ["spoil"] });
  for (const { name, run } of contract) it(name, run);
});
