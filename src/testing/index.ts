export { ManualClock } from "./manual-clock.js";
export { type ContractCase, type ContractSubject, registryContract } from "./contract.js";
