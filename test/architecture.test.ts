import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path/posix";
import { fileURLToPath } from "node:url";
import { describe, it } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Who may know whom; the roof may know everybody. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  model: [],
  runtime: ["model"],
  wire: ["model"],
  registry: ["model", "runtime"],
  endpoint: ["model", "runtime"],
  adapters: ["model", "runtime", "wire", "registry"],
  balancer: ["model", "runtime", "endpoint"],
  provider: ["model", "runtime", "registry"],
  consumer: ["model", "runtime", "registry", "endpoint", "balancer"],
  client: ["model", "runtime", "registry", "endpoint", "balancer", "consumer"],
  server: ["model", "runtime", "wire", "registry"],
  testing: ["model", "runtime", "registry", "server"],
};
const ROOF = ["index.ts", "connect.ts", "connect", "cli"];

/** Each third-party package has one door. */
const DOORS: Readonly<Record<string, RegExp>> = {
  undici: /^(runtime\/http(-answer)?\.ts|client\/)/,
  "p-retry": /^runtime\/retry\.ts$/,
  "lru-cache": /^consumer\/resolver\.ts$/,
  "@grpc/grpc-js": /^adapters\/nacos-channel\.ts$/,
  eventemitter3: /^runtime\/emitter\.ts$/,
};

const TOP_LEVEL =
  /^(package\.json|package-lock\.json|tsconfig\.json|src|test|examples|docs|CHANGELOG\.md|README\.md|LICENSE|\..+)$/;
const TIME_OR_CHANCE = /\b(Date\.now|new Date\(\)|Math\.random|AbortSignal\.(timeout|any)|performance\.now)\b/;
const MAY_TELL_TIME = /^(runtime|testing)\//;
const MAX_LINES = 300;

interface File {
  readonly path: string;
  readonly text: string;
}

const sources: readonly File[] = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => ({ path, text: readFileSync(join(ROOT, "src", path), "utf8") }));

describe("the architecture", () => {
  it("lets each room know only the rooms above it", () => {
    assert.deepEqual(sources.flatMap(strangers), []);
    const file = { path: "consumer/a.ts", text: 'import { http } from "../adapters/http.js";' };
    assert.deepEqual(strangers(file), ["consumer/a.ts knows adapters/http.ts"]);
  });

  it("has no file outside a room", () => {
    assert.deepEqual(sources.flatMap(homeless), []);
    assert.equal(homeless({ path: "misc/a.ts", text: "" }).length, 1);
  });

  it("goes round in no circle", () => {
    assert.deepEqual(circles(sources), []);
    const pair = [
      { path: "model/a.ts", text: 'import { b } from "./b.js";' },
      { path: "model/b.ts", text: 'export { a } from "./a.js";' },
    ];
    assert.equal(circles(pair).length, 1);
  });

  it("lets each package in by its own door", () => {
    assert.deepEqual(sources.flatMap(intruders), []);
    assert.equal(intruders({ path: "model/a.ts", text: 'import { Pool } from "undici";' }).length, 1);
    assert.equal(intruders({ path: "client/a.ts", text: 'const x = await import("left-pad");' }).length, 1);
  });

  it("takes time and chance from runtime alone", () => {
    assert.deepEqual(sources.flatMap(tellsTime), []);
    assert.equal(tellsTime({ path: "model/a.ts", text: "const now = Date.now();" }).length, 1);
  });

  it("names files plainly and keeps them short", () => {
    assert.deepEqual(sources.flatMap(illNamed), []);
    assert.equal(illNamed({ path: "model/utils.ts", text: "" }).length, 1);
    assert.equal(illNamed({ path: "model/camelCase.ts", text: "" }).length, 1);
    assert.equal(illNamed({ path: "model/long.ts", text: "\n".repeat(MAX_LINES + 1) }).length, 1);
  });

  it("keeps the top level tidy, and no machine's paths anywhere", () => {
    const tracked = execFileSync("git", ["ls-files"], { cwd: ROOT, encoding: "utf8" }).split("\n").filter(Boolean);
    assert.deepEqual(
      tracked.filter((path) => !TOP_LEVEL.test(path.split("/")[0] ?? "")),
      [],
    );
    assert.deepEqual(
      tracked.filter((path) => namesMachine(readFileSync(join(ROOT, path), "utf8"))),
      [],
    );
    assert.ok(namesMachine(["", "root", "x"].join("/")));
  });
});

function roomOf(path: string): string {
  return path.split("/")[0] ?? "";
}

const STATIC_IMPORT =
  /^(?:import|export)\s+(?:type\s+)?(?:(?:[\w$]+|\{[^}]*\}|\*(?:\s+as\s+\w+)?)(?:\s*,\s*\{[^}]*\})?\s+from\s+)?["']([^"']+)["']/gm;
const DYNAMIC_IMPORT = /\bimport\(\s*["']([^"']+)["']/g;

function importsOf({ text }: File): string[] {
  return [...text.matchAll(STATIC_IMPORT), ...text.matchAll(DYNAMIC_IMPORT)].map(([, name]) => name as string);
}

function filesKnownBy(file: File): string[] {
  const local = importsOf(file).filter((name) => name.startsWith("."));
  return local.map((name) => normalize(join(dirname(file.path), name)).replace(/\.js$/, ".ts"));
}

function strangers(file: File): string[] {
  const room = roomOf(file.path);
  if (ROOF.includes(room)) return [];
  const allowed = [room, ...(MAY_IMPORT[room] ?? [])];
  return filesKnownBy(file)
    .filter((other) => !allowed.includes(roomOf(other)))
    .map((other) => `${file.path} knows ${other}`);
}

function homeless({ path }: File): string[] {
  const room = roomOf(path);
  return room in MAY_IMPORT || ROOF.includes(room) ? [] : [path];
}

function circles(files: readonly File[]): string[] {
  const knows = new Map(files.map((file) => [file.path, filesKnownBy(file)]));
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) found.push([...trail.slice(trail.indexOf(path)), path].join(" → "));
    else if (!done.has(path)) {
      for (const next of knows.get(path) ?? []) visit(next, [...trail, path]);
      done.add(path);
    }
  };
  for (const { path } of files) visit(path, []);
  return found;
}

function intruders(file: File): string[] {
  const packages = importsOf(file).filter((name) => !name.startsWith(".") && !name.startsWith("node:"));
  return packages.filter((name) => !DOORS[name]?.test(file.path)).map((name) => `${file.path} lets in ${name}`);
}

function tellsTime({ path, text }: File): string[] {
  const code = text.replace(/^\s*(\*|\/\/).*$/gm, "").replace(/\/\*\*.*?\*\//g, "");
  return !MAY_TELL_TIME.test(path) && TIME_OR_CHANCE.test(code) ? [path] : [];
}

function illNamed({ path, text }: File): string[] {
  const name = path.split("/").at(-1) ?? "";
  const plain = /^[a-z0-9]+(-[a-z0-9]+)*\.ts$/.test(name) && !/^(utils?|helpers?)\.ts$/.test(name);
  return plain && text.split("\n").length <= MAX_LINES ? [] : [path];
}

function namesMachine(text: string): boolean {
  return /(^|[^A-Za-z0-9_.])\/(work|root|home|farm)\//.test(text);
}
