export {
  type ContractCase,
  type ContractSubject,
  registryContract,
} from "./contract.js";
export { ManualClock } from "./manual-clock.js";
