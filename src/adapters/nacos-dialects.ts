import type { NacosRequest, Params } from "./nacos-client.js";

/** Whose instances are spoken of. */
export interface NacosScope {
  readonly namespaceId: string;
  readonly groupName: string;
}

/** What came of a beat. */
export interface Beaten {
  /** Whether Nacos has the instance; else it must register again. */
  readonly known: boolean;
  /** When it wants the next one, in milliseconds, if it says so. */
  readonly intervalMs: number | undefined;
}

/** One version of Nacos' HTTP API: how things are asked for, and what the answers mean. */
export interface Dialect {
  register(instance: Params): NacosRequest;
  beat(key: Params): NacosRequest;
  deregister(key: Params): NacosRequest;
  /** `clusters` with commas between them: v1 lists all of a service, v3 none but those it is asked for. */
  list(service: Params, clusters: string): NacosRequest;
  services(scope: NacosScope, page: string, size: string): NacosRequest;
  isOk(body: unknown): boolean;
  /** Undefined if it says neither yes nor no. */
  beaten(body: unknown): Beaten | undefined;
  /** The instances of a list; no array if it is none. */
  hosts(body: unknown): unknown;
  /** The names on a page, of one group if it is given; no array if it is none. */
  names(body: unknown, group: string | undefined): unknown;
}

const V1_PATH = "/v1/ns/instance";
/** v1's word, inside a 200, for a beat that was taken, and for one of an instance nobody knows. */
const V1_CODES = { beaten: 10_200, unknown: 20_404 } as const;

/** 1.x and 2.x. A registration goes as a form: metadata would not fit into a URL. */
export const V1: Dialect = {
  register: (form) => ({ method: "POST", path: V1_PATH, form, text: true }),
  beat: (query) => ({ method: "PUT", path: `${V1_PATH}/beat`, query }),
  deregister: (query) => ({ method: "DELETE", path: V1_PATH, query, text: true }),
  list: (query) => ({ method: "GET", path: `${V1_PATH}/list`, query }),
  services: (scope, pageNo, pageSize) => ({
    method: "GET",
    path: "/v1/ns/service/list",
    query: { ...scope, pageNo, pageSize },
  }),
  isOk: (body) => body === "ok",
  beaten(body) {
    const { code, clientBeatInterval: intervalMs } = fieldsOf(body);
    if (code === V1_CODES.unknown) return { known: false, intervalMs: undefined };
    if (code !== V1_CODES.beaten) return undefined;
    return { known: true, intervalMs: typeof intervalMs === "number" && intervalMs > 0 ? intervalMs : undefined };
  },
  hosts: (body) => fieldsOf(body)["hosts"],
  names: (body) => fieldsOf(body)["doms"],
};

const V3_PATH = "/v3/client/ns/instance";
/** v3's codes, inside a 200. */
const V3_CODES = { success: 0, unknown: 21_003 } as const;

/** 3.x. */
export const V3: Dialect = {
  register: (form) => ({ method: "POST", path: V3_PATH, form }),
  beat: (key) => ({ method: "POST", path: V3_PATH, form: { ...key, heartBeat: "true" } }),
  deregister: (query) => ({ method: "DELETE", path: V3_PATH, query }),
  list: (query, clusterName) => ({ method: "GET", path: `${V3_PATH}/list`, query: { ...query, clusterName } }),
  services: ({ namespaceId, groupName: groupNameParam }, pageNo, pageSize) => ({
    method: "GET",
    path: "/v3/admin/ns/service/list",
    query: { namespaceId, groupNameParam, pageNo, pageSize },
  }),
  isOk: (body) => succeeded(body) === "ok",
  beaten(body) {
    if (fieldsOf(body)["code"] === V3_CODES.unknown) return { known: false, intervalMs: undefined };
    return succeeded(body) === "ok" ? { known: true, intervalMs: undefined } : undefined;
  },
  hosts: (body) => succeeded(body),
  names(body, group) {
    const { pageItems } = fieldsOf(succeeded(body));
    if (!Array.isArray(pageItems)) return undefined;
    const services = pageItems.map(fieldsOf).filter((each) => group === undefined || each["groupName"] === group);
    return services.map((each) => each["name"]); // the group asked for is but a part of its name
  },
};

function succeeded(body: unknown): unknown {
  const { code, data } = fieldsOf(body);
  return code === V3_CODES.success ? data : undefined;
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
