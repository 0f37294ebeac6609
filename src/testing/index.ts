export {
  type ContractCase,
  type ContractNeeds,
  type ContractSubject,
  registryContract,
} from "./contract.js";
export { ManualClock } from "./manual-clock.js";
