import { parseArgs } from "node:util";
import { invalid } from "../model/fields.js";
import { createRegistryServer } from "../server/index.js";
import { interrupted } from "./interrupted.js";

const HELP = `Usage: mcp-discovery registry [options]

An MCP registry in this process's memory, over HTTP.

  --port N      port to listen on; 0 takes any free one (default 8761)
  --host HOST   address to bind to (default 127.0.0.1)
  --insecure    bind to more than loopback although nobody has to show who they are
  --json        say where it listens as one line of JSON

Example: mcp-discovery registry --port 8761
         curl http://127.0.0.1:8761/v1/services
`;

/** Runs a registry until it is interrupted. */
export async function registry(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      port: { type: "string", default: "8761" },
      host: { type: "string", default: "127.0.0.1" },
      insecure: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const port = Number(values.port);
  if (!/^\d{1,5}$/.test(values.port) || port > 65_535) throw invalid("--port", values.port, "a port from 0 to 65535");
  const server = createRegistryServer({ port, host: values.host, insecure: values.insecure });
  const url = await server.listen();
  process.stdout.write(values.json ? `${JSON.stringify({ event: "ready", url })}\n` : `registry ready at ${url}\n`);
  await interrupted();
  await server.close();
  return 0;
}
