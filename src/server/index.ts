export type { HostPolicy } from "./host-policy.js";
export type { ProbeOptions } from "./probing.js";
export { createRegistryServer, type RegistryServer } from "./server.js";
export type { RegistryServerOptions } from "./server-options.js";
