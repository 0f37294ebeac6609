import { createSocket } from "node:dgram";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";

/** Any port will do: connecting a datagram socket sends nothing, it only asks the kernel for a route. */
const ROUTE_PORT = 9;

/** What the choice of an address rests on. */
export interface AddressSources {
  /** Set by the user: always wins. */
  readonly host?: string | undefined;
  /** Host of the registry, where it is known. */
  readonly registryHost?: string | undefined;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/**
 * Which address to tell consumers: the one given, `MCP_ADVERTISE_HOST`, `POD_IP`, the address this machine uses towards
 * the registry, or that of its first interface that others can reach. Loopback only when the registry is there too.
 */
export async function advertisedHost({ host, registryHost, env = process.env }: AddressSources): Promise<string> {
  const told = host ?? env["MCP_ADVERTISE_HOST"] ?? env["POD_IP"];
  if (told) return told;
  if (registryHost === undefined) return interfaceAddress() ?? "127.0.0.1";
  if (isLoopback(registryHost)) return "127.0.0.1";
  return (await routeSource(registryHost)) ?? interfaceAddress() ?? "127.0.0.1";
}

/** Whether a host is this machine's loopback. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, "").toLowerCase();
  return bare === "localhost" || bare === "::1" || (isIP(bare) === 4 && bare.startsWith("127."));
}

function interfaceAddress(): string | undefined {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { family, internal, address } of addresses ?? []) {
      if (family === "IPv4" && !internal && !address.startsWith("169.254.")) return address;
    }
  }
  return undefined;
}

function routeSource(registryHost: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(isIP(registryHost) === 6 ? "udp6" : "udp4");
    const done = (address: string | undefined): void => {
      socket.close();
      resolve(address);
    };
    socket.once("error", () => done(undefined));
    socket.connect(ROUTE_PORT, registryHost, () => {
      const { address } = socket.address();
      done(isLoopback(address) ? undefined : address);
    });
  });
}
