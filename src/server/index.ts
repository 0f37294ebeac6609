export type { HostPolicy } from "./host-policy.js";
export type { ProbeOptions } from "./probing.js";
export {
  createRegistryServer,
  type RegistryServer,
  type RegistryServerOptions,
} from "./server.js";
