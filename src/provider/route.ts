import { createSocket } from "node:dgram";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import type { Scope } from "../runtime/clock.js";
import { within } from "../runtime/deadline.js";
import { type AdvertisedAddress, advertisedAddress, bareHost, isTold } from "./address.js";

/** Any port will do: connecting a datagram socket sends nothing, it only asks the kernel for a route. */
const ROUTE_PORT = 9;
/** Finding the registry's address may take this long, in milliseconds; the interfaces tell as well. */
const LOOKUP_MS = 2_000;

/** Asks this machine which address to tell consumers. @throws {DiscoveryError} as {@link advertisedAddress} */
export async function addressOfThisMachine(
  known: { option: string | undefined; bound: string | undefined; registryHost: string | undefined },
  scope: Scope,
): Promise<AdvertisedAddress> {
  const { option, registryHost } = known;
  const { env } = process;
  const isNeeded = registryHost !== undefined && !isTold({ option, env });
  const route = isNeeded ? await routeTo(bareHost(registryHost), scope) : undefined;
  return advertisedAddress({ ...known, route, env, interfaces: networkInterfaces() });
}

/** The address this machine uses towards a host; undefined if there is no way to it, or none that is known in time. */
async function routeTo(host: string, scope: Scope): Promise<string | undefined> {
  const version = isIP(host);
  const overIPv4 = version === 6 ? undefined : await routeSource("udp4", host, scope);
  return overIPv4 ?? (version === 4 ? undefined : await routeSource("udp6", host, scope));
}

async function routeSource(type: "udp4" | "udp6", host: string, scope: Scope): Promise<string | undefined> {
  const socket = createSocket(type).unref();
  const connected = (): Promise<string | undefined> =>
    new Promise((resolve) => {
      socket.once("error", () => resolve(undefined));
      socket.connect(ROUTE_PORT, host, () => resolve(socket.address().address));
    });
  try {
    return await within(`route to ${host}`, LOOKUP_MS, scope, connected);
  } catch {
    scope.signal.throwIfAborted();
    return undefined;
  } finally {
    socket.close();
  }
}
