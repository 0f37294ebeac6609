import { invalid } from "../model/fields.js";
import { hostPort, type ServiceInstance } from "../model/instance.js";

/** Where an instance's pages are: a path at its own address, such as `/health`, or a whole URL. */
export interface EurekaPages {
  /** @default none */
  readonly homePageUrl?: string | undefined;
  /** What Eureka's dashboard links to. @default none */
  readonly statusPageUrl?: string | undefined;
  /** What others may ask whether it is well: Eureka does not. @default none */
  readonly healthCheckUrl?: string | undefined;
}

export const PAGES = ["homePageUrl", "statusPageUrl", "healthCheckUrl"] as const;

/** Reads the options; answers what a record says of its pages. @throws {DiscoveryError} `INVALID_OPTION` */
export function pagesIn(options: EurekaPages): (instance: ServiceInstance) => EurekaPages {
  const given = PAGES.flatMap((name) => {
    const page = options[name];
    if (page === undefined) return [];
    if (!isPage(page)) throw invalid(`eureka.${name}`, page, 'a path such as "/health", or an http:// or https:// URL');
    return [[name, page] as const];
  });
  return ({ protocol, host, port }) => {
    const origin = `${protocol === "https" ? "https" : "http"}://${hostPort(host, port)}`;
    return Object.fromEntries(given.map(([name, page]) => [name, page.startsWith("/") ? origin + page : page]));
  };
}

function isPage(page: unknown): boolean {
  return typeof page === "string" && /^(\/(?!\/)|https?:\/\/)\S*$/.test(page) && URL.canParse(page, "http://instance");
}
