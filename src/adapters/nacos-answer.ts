import { createHash } from "node:crypto";
import type { RegistryUpdate } from "../model/update.js";
import { fromNacos } from "./nacos-record.js";

/** What Nacos says of a service at one moment. */
export interface Answer {
  readonly update: RegistryUpdate;
  /** Nacos counts no versions: two answers say the same if their marks are the same. */
  readonly mark: string;
}

/** Without instances a service does not exist to Nacos. */
export function answerOf(service: string, named: string, hosts: readonly unknown[]): Answer {
  const { instances, invalid } = fromNacos(service, named, hosts);
  if (instances.length === 0 && invalid === 0) return { update: { type: "absent" }, mark: "absent" };
  const position = createHash("sha256")
    .update(JSON.stringify([instances, invalid]))
    .digest("base64url");
  return { update: { type: "reset", instances, invalid, position }, mark: position };
}
