import { type RunningRegistry, startRegistry } from "./start.js";

/** A version of the server that this machine can start. */
export interface NacosVersion {
  readonly name: string;
  /** On a free port unless one is given, with flags for the server. */
  start(port?: number, flags?: readonly string[]): Promise<RunningRegistry>;
}

/** 2.3.2, which knows v1 alone, and the official 3.x with v3 if `NACOS_SERVER_JAR` names it. */
export function nacosVersions(): readonly NacosVersion[] {
  const { NACOS_SERVER_JAR: jar, ...env } = process.env;
  const start =
    (given: NodeJS.ProcessEnv) =>
    (port = 0, flags: readonly string[] = []) => {
      const run = () => startRegistry("nacos.sh", ["--port", String(port), "--", ...flags], given);
      return run().catch(run); // on a busy machine its own database may be late for it
    };
  const official = jar === undefined ? [] : [{ name: "3.x", start: start(process.env) }];
  return [{ name: "2.3.2", start: start(env) }, ...official];
}
