export { type ContractCase, type ContractNeeds, registryContract } from "./contract.js";
export type { ContractFaults, ContractSubject } from "./contract-subject.js";
export { ManualClock } from "./manual-clock.js";
