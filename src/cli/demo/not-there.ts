import { shownUrl } from "../../connect/shown-url.js";
import { DiscoveryError } from "../../model/errors.js";
import { printable } from "../question.js";
import type { Witness } from "./witness.js";

/** How each kind of registry is started on this machine, for who has none. */
const STARTED_BY: Readonly<Record<string, string>> = {
  consul: "consul agent -dev, or in a clone of mcp-discovery: bash test/registries/consul.sh start --port 8500",
  etcd: "etcd, or in a clone of mcp-discovery: bash test/registries/etcd.sh start --port 2379",
  eureka: "in a clone of mcp-discovery: bash test/registries/eureka.sh start --port 8761",
  nacos: "in a clone of mcp-discovery: bash test/registries/nacos.sh start --port 8848",
  http: "npx mcp-discovery registry --port 8761",
};

/** No registry answered; the message says where, why, and how to start one. */
export class NotThere extends Error {}

/** @throws {NotThere} if the registry does not answer; what else is wrong with it passes through */
export async function greeted(url: string, witness: Witness, signal: AbortSignal): Promise<void> {
  try {
    await witness.greet(signal);
  } catch (error) {
    if (!DiscoveryError.is(error) || !error.retryable) throw error;
    const [, scheme = ""] = /^([a-z]+)/i.exec(url) ?? [];
    const start = STARTED_BY[scheme.toLowerCase()];
    const how = start ? `\nTo start one: ${start}` : "";
    throw new NotThere(`no registry answers at ${shownUrl(url)}: ${printable(error.message)}${how}`);
  }
}
