import { type RunningRegistry, startRegistry } from "./start.js";

/** A version of the server that this machine can start. */
export interface NacosVersion {
  readonly name: string;
  /** Where a client may register, below its context path. */
  readonly instances: "/v1/ns/instance" | "/v3/client/ns/instance";
  /** On a free port unless one is given, with flags for the server. */
  start(port?: number, flags?: readonly string[]): Promise<RunningRegistry>;
}

const V1 = "/v1/ns/instance";
const V3 = "/v3/client/ns/instance";
/** What 3.0 does so, later ones do by themselves. */
const WITHOUT_V1 = "--nacos.core.api.compatibility.client.enabled=false";

/** 2.3.2, which knows v1 alone, and the official 3.x if `NACOS_SERVER_JAR` names it: with v1 and v3, and with v3 alone. */
export function nacosVersions(): readonly NacosVersion[] {
  const { NACOS_SERVER_JAR: jar, ...env } = process.env;
  const start =
    (given: NodeJS.ProcessEnv, ...always: readonly string[]) =>
    (port = 0, flags: readonly string[] = []) => {
      const run = () => startRegistry("nacos.sh", ["--port", String(port), "--", ...always, ...flags], given);
      return run().catch(run); // on a busy machine its own database may be late for it
    };
  const older: NacosVersion = { name: "2.3.2", instances: V1, start: start(env) };
  if (jar === undefined) return [older];
  return [
    older,
    { name: "3.x", instances: V1, start: start(process.env) },
    { name: "3.x without v1", instances: V3, start: start(process.env, WITHOUT_V1) },
  ];
}
