export {
  createRegistryServer,
  type RegistryServer,
  type RegistryServerOptions,
} from "./server.js";
