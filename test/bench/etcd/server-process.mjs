// One of our servers on an etcd, as a process of its own: server-process.mjs ORIGIN
import { etcd } from "../../../dist/adapters/etcd.js";
import { createRegistryServer } from "../../../dist/server/index.js";

const server = createRegistryServer({ port: 0, registry: etcd({ endpoints: process.argv[2] }) });
process.send(await server.listen());
process.once("disconnect", () => process.exit());
