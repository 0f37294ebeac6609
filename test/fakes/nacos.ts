import { createHmac } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { type Backend, startBackend } from "./backend.js";

type Api = "v1" | "v3" | "both";

/** What the fake is: a version, and who may log in, or sign. */
export interface FakeNacosOptions {
  /** Both: as 3.0. */
  readonly api: Api;
  readonly user?: { readonly username: string; readonly password: string; readonly tokenTtl?: number };
  /** As Alibaba Cloud's. */
  readonly key?: { readonly accessKey: string; readonly secretKey: string };
  /** What it lists: several fakes that share it are servers of one cluster. */
  readonly hosts?: Map<string, Record<string, unknown>>;
}

/** Nacos as its answers were recorded from 2.3.2 and 3.0.3: v1 in plain text, v3 wrapped, both unknown names and all. */
export interface FakeNacos {
  readonly url: string;
  /** Method, path and parameters of every request, in order; a form counts as parameters. */
  readonly asked: Asked[];
  /** The records that lists show, by `ip:port`. */
  readonly hosts: Map<string, Record<string, unknown>>;
  api: Api;
  /** Answers the next requests of that kind by these instead. */
  answer(kind: string, status: number, body: string): void;
  /** Takes questions and answers none. */
  silence(): void;
  /** No token that was given is good any more. */
  revoke(): void;
  close(): Promise<void>;
}

export interface Asked {
  /** `register`, `beat`, `deregister`, `list`, `names` or `login`. */
  readonly kind: string;
  readonly path: string;
  readonly params: Readonly<Record<string, string>>;
  readonly token: string | undefined;
}

/** The group that is asked for is but a part of the names v3 shows. */
const GROUPS = ["DEFAULT_GROUP", "MY_DEFAULT_GROUP"].map((groupName, index) => ({
  name: ["Orders", "other"][index],
  groupName,
}));

export async function startFakeNacos({ api, user, key, hosts = new Map() }: FakeNacosOptions): Promise<FakeNacos> {
  const asked: Asked[] = [];
  const scripted = new Map<string, { readonly status: number; readonly body: string }>();
  let tokens = 0;
  let isSilent = false;
  const backend: Backend = await startBackend(async (request, response) => {
    const given = await read(request);
    const { status, body } = answerTo(given);
    if (isSilent) return;
    response.writeHead(status, { "content-type": body.startsWith("{") ? "application/json" : "text/plain" }).end(body);
  });

  function answerTo(given: Asked): { readonly status: number; readonly body: string } {
    const path = given.path.replace(/^\/nacos/, "");
    const [, spoken] = path.split("/");
    if (fake.api !== "both" && spoken !== fake.api) {
      const body = JSON.stringify({
        timestamp: "2026-01-01T00:00:00.000+00:00",
        status: 404,
        error: "Not Found",
        path,
      });
      return path.startsWith("/v3/") || fake.api === "v1"
        ? { status: 404, body }
        : { status: 410, body: wrapped(410, null) };
    }
    asked.push(given);
    const script = scripted.get(given.kind);
    if (script) return script;
    if (given.kind === "login") return login(given.params);
    if (user && given.token !== `token-${tokens}`) {
      return {
        status: 403,
        body: wrapped(403, null, given.token ? "token invalid!" : "Code: 401, Message: User not found!"),
      };
    }
    if (key && !isSigned(given, key)) return { status: 403, body: wrapped(403, null, "signature invalid!") };
    return { status: 200, body: spoken === "v1" ? v1(given) : v3(given) };
  }

  function login({ username, password }: Asked["params"]): { readonly status: number; readonly body: string } {
    if (username !== user?.username || password !== user?.password) return { status: 403, body: "unknown user!" };
    const granted = { accessToken: `token-${++tokens}`, tokenTtl: user?.tokenTtl ?? 18_000, globalAdmin: false };
    return { status: 200, body: JSON.stringify(granted) };
  }

  function v1({ kind, params }: Asked): string {
    const key = `${params["ip"]}:${params["port"]}`;
    if (kind === "beat") {
      const code = hosts.has(key) ? 10_200 : 20_404;
      return JSON.stringify({ clientBeatInterval: 1_700, code, lightBeatEnabled: true });
    }
    if (kind === "list") {
      const about = { name: `${params["groupName"]}@@${params["serviceName"]}`, groupName: params["groupName"] };
      return JSON.stringify({
        ...about,
        cacheMillis: 10_000,
        hosts: [...hosts.values()],
        lastRefTime: ++tick,
        checksum: "",
      });
    }
    if (kind === "names") return JSON.stringify({ count: 1, doms: ["Orders"] });
    change(kind, key, params);
    return "ok";
  }

  function v3({ kind, params }: Asked): string {
    const key = `${params["ip"]}:${params["port"]}`;
    if (kind === "beat") return hosts.has(key) ? wrapped(0, "ok") : wrapped(21_003, null, "instance not found");
    if (kind === "list") return wrapped(0, [...hosts.values()]);
    if (kind === "names") return wrapped(0, { totalCount: 2, pageItems: GROUPS });
    change(kind, key, params);
    return wrapped(0, "ok");
  }

  function change(
    kind: string,
    key: string,
    { ip, port, weight, enabled, clusterName, metadata }: Asked["params"],
  ): void {
    if (kind === "deregister") hosts.delete(key);
    else {
      const flags = { healthy: true, enabled: enabled === "true", ephemeral: true };
      hosts.set(key, {
        ip,
        port: Number(port),
        weight: Number(weight),
        ...flags,
        clusterName,
        metadata: JSON.parse(metadata ?? "{}"),
      });
    }
  }

  let tick = 0;
  const fake: FakeNacos = {
    url: `http://127.0.0.1:${backend.port}`,
    asked,
    hosts,
    api,
    answer: (kind, status, body) => void scripted.set(kind, { status, body }),
    silence: () => {
      isSilent = true;
    },
    revoke: () => void tokens++,
    close: () => backend.close(),
  };
  return fake;
}

function wrapped(code: number, data: unknown, message = code === 0 ? "success" : "failed"): string {
  return JSON.stringify({ code, message, data });
}

/** By whoever has the key, and for the service that is spoken of. */
function isSigned({ params }: Asked, { accessKey, secretKey }: NonNullable<FakeNacosOptions["key"]>): boolean {
  const { ak, data = "", signature, serviceName, groupName } = params;
  const [, about] = /^\d{13}(?:@@(.+))?$/.exec(data) ?? ["", "nothing that could be signed"];
  if (about !== (serviceName && `${groupName}@@${serviceName}`)) return false;
  return ak === accessKey && signature === createHmac("sha1", secretKey).update(data).digest("base64");
}

async function read(request: IncomingMessage): Promise<Asked> {
  let form = "";
  for await (const chunk of request) form += String(chunk);
  const { pathname: path, searchParams } = new URL(request.url ?? "/", "http://nacos");
  const params = { ...Object.fromEntries(searchParams), ...Object.fromEntries(new URLSearchParams(form)) };
  const { accesstoken: token } = request.headers;
  return { kind: kindOf(request.method, path, params), path, params, token: token as string | undefined };
}

function kindOf(method: string | undefined, path: string, params: Asked["params"]): string {
  if (path.endsWith("/login")) return "login";
  if (path.endsWith("/service/list")) return "names";
  if (path.endsWith("/list")) return "list";
  if (path.endsWith("/beat") || params["heartBeat"] === "true") return "beat";
  return method === "DELETE" ? "deregister" : "register";
}
