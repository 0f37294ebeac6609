#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { DiscoveryError } from "../model/errors.js";
import { nearest } from "../runtime/options.js";

/** A command: what it is for, and what runs it. Loaded only when it is asked for, so that help comes at once. */
interface Command {
  readonly about: string;
  readonly load: () => Promise<(args: readonly string[]) => Promise<number>>;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  compare: {
    about: "what one registry knows and another does not: mcp-discovery compare URL URL",
    load: async () => (await import("./compare.js")).compare,
  },
  demo: {
    about: "registry, providers and a consumer on this machine; one dies, no call fails",
    load: async () => (await import("./demo/demo.js")).demo,
  },
  list: {
    about: "the services a registry knows: mcp-discovery list URL",
    load: async () => (await import("./list.js")).list,
  },
  registry: {
    about: "an embedded registry: mcp-discovery registry --port 8761",
    load: async () => (await import("./registry.js")).registry,
  },
  resolve: {
    about: "the instances of a service: mcp-discovery resolve URL SERVICE",
    load: async () => (await import("./resolve.js")).resolve,
  },
  watch: {
    about: "the instances of a service and every change: mcp-discovery watch URL SERVICE",
    load: async () => (await import("./watch.js")).watch,
  },
};

const USAGE_ERROR = 2;

process.exitCode = await run(process.argv.slice(2));

async function run([name, ...args]: readonly string[]): Promise<number> {
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    process.stdout.write(help());
    return name === undefined ? USAGE_ERROR : 0;
  }
  if (name === "--version") {
    const about = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
      version: string;
    };
    process.stdout.write(`${about.version}\n`);
    return 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) {
    const near = nearest(name, Object.keys(COMMANDS));
    const hint = near ? `, did you mean ${near}?` : "";
    process.stderr.write(`mcp-discovery: no command ${JSON.stringify(name)}${hint}\n\n${help()}`);
    return USAGE_ERROR;
  }
  try {
    return await (await command.load())(args);
  } catch (error) {
    process.stderr.write(`mcp-discovery ${name}: ${whatIsWrong(error, name)}\n`);
    return isUsage(error) ? USAGE_ERROR : 1;
  }
}

/** Node's own errors do not know this command: what to do about them is added. */
function whatIsWrong(error: unknown, name: string): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? String(error.code) : "";
  if (code.startsWith("ERR_PARSE_ARGS")) return `${error.message}. What there is: mcp-discovery ${name} --help`;
  return code === "EADDRINUSE" ? `${error.message}; --port 0 takes a free one` : error.message;
}

function isUsage(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return code.startsWith("ERR_PARSE_ARGS") || DiscoveryError.is(error, "INVALID_OPTION");
}

function help(): string {
  const lines = Object.entries(COMMANDS).map(([name, { about }]) => `  ${name.padEnd(10)} ${about}`);
  const head = "mcp-discovery: service discovery for Node (MCP: Microservice Communication Protocol)";
  return `${head}\n\nUsage: mcp-discovery <command> [options]\n\n${lines.join("\n")}\n\nOptions of a command: mcp-discovery <command> --help\n`;
}
