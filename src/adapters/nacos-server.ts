import { DiscoveryError } from "../model/errors.js";
import { type HttpClient, type HttpResponse, httpClient } from "../runtime/http.js";
import { NO_NACOS, refusal } from "./nacos-refusal.js";
import type { NacosUser } from "./nacos-signature.js";

/** Every status is an answer to HTTP: what it means is said here. */
const ANY = Array.from({ length: 300 }, (_, index) => 300 + index);
/** What is answered, not thrown: another token, or another version of the API, may do better. */
const ASKED_ABOUT: ReadonlySet<number> = new Set([401, 403, 404, 410]);

/** One server of a cluster. */
export interface NacosAddress {
  /** Names it in messages. */
  readonly name: string;
  readonly origin: string;
}

/**
 * One Nacos server over HTTP. What it refuses is an error with what can be done about it; want of rights, and a path
 * that is not there, are answers.
 *
 * @param user who asks, if that is said
 */
export function nacosServer({ name, origin }: NacosAddress, user: NacosUser | undefined): HttpClient {
  const http = httpClient({ name, origin });
  return {
    ...http,
    async request(request) {
      const answer = await http.request({ ...request, accept: ANY }).catch(explain);
      if (answer.status < 300 || ASKED_ABOUT.has(answer.status)) return answer;
      const [path = ""] = request.path.split("?");
      throw refusal(name, { method: request.method, path }, answer, user);
    },
  };
}

/** Whether who asked lacks the rights. */
export function isForbidden({ status }: HttpResponse): boolean {
  return status === 401 || status === 403;
}

/** Whether there is nothing at that path: 3.x answers 410 where a version ended, with the path that followed it. */
export function isGone({ status }: HttpResponse): boolean {
  return status === 404 || status === 410;
}

function explain(error: unknown): never {
  if (!DiscoveryError.is(error, "PROTOCOL") || !/no JSON/.test(error.message)) throw error;
  const { message, cause } = error;
  throw new DiscoveryError("PROTOCOL", `${message.replace(/ \(PROTOCOL\)$/, "")}; ${NO_NACOS}`, { cause });
}
