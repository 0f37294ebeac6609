import { type RunningRegistry, startRegistry } from "./start.js";

/** A version of the server that this machine can start. */
export interface NacosVersion {
  readonly name: string;
  start(port?: number): Promise<RunningRegistry>;
}

/** 2.3.2, which knows v1 alone, and the official 3.x with v3 if `NACOS_SERVER_JAR` names it. */
export function nacosVersions(): readonly NacosVersion[] {
  const { NACOS_SERVER_JAR: jar, ...env } = process.env;
  const start = (given: NodeJS.ProcessEnv) => (port?: number) =>
    startRegistry("nacos.sh", port === undefined ? [] : ["--port", String(port)], given);
  const official = jar === undefined ? [] : [{ name: "3.x", start: start(process.env) }];
  return [{ name: "2.3.2", start: start(env) }, ...official];
}
