// Plays the scenarios and writes the table as JSON:
// node test/simulation/balance/main.mjs [--scenarios E1,E2] [--contestants round-robin,adaptive] [--seeds 1,2,3]
import { parseArgs } from "node:util";
import { tableOf } from "./table.mjs";

const { values } = parseArgs({
  options: {
    scenarios: { type: "string" },
    contestants: { type: "string" },
    seeds: { type: "string", default: "1,2,3" },
  },
});
const table = tableOf({
  scenarios: values.scenarios?.split(","),
  contestants: values.contestants?.split(","),
  seeds: values.seeds.split(",").map(Number),
});
console.log(JSON.stringify(table));
