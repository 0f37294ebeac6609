import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const common = { pool: "forks", environment: "node" } as const;

export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  test: {
    projects: [
      {
        extends: true,
        test: {
          ...common,
          name: "unit",
          globalSetup: "test/not-run.ts",
          include: ["test/**/*.test.ts"],
          testTimeout: 20_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          ...common,
          name: "chaos",
          include: ["test/chaos/**/*.chaos.ts"],
          fileParallelism: false,
          testTimeout: 240_000,
        },
      },
      {
        extends: true,
        test: {
          ...common,
          name: "soak",
          include: ["test/soak/**/*.soak.ts"],
          fileParallelism: false,
          testTimeout: 1_800_000,
        },
      },
      {
        extends: true,
        test: {
          ...common,
          name: "integration",
          include: ["test/integration/**/*.int.ts"],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          ...common,
          name: "simulation",
          include: ["test/simulation/**/*.sim.ts"],
          fileParallelism: false,
          testTimeout: 900_000,
        },
      },
    ],
  },
});
