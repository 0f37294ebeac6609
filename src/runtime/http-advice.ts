import type { ErrorCode } from "../model/errors.js";

/** What a failed request means, and what can be done about it. */
export interface Advice {
  readonly code: ErrorCode;
  /** Ends an error message; empty where there is nothing to say. */
  readonly advice: string;
}

const NOBODY: Advice = { code: "UNAVAILABLE", advice: "; is it running, and are host and port right?" };
const NO_HTTP: Advice = { code: "PROTOCOL", advice: "; what listens there speaks no HTTP: is the port right?" };
const NO_TLS: Advice = { code: "PROTOCOL", advice: "; what listens there speaks no TLS: is it http:// instead?" };
const CUT_SHORT: Advice = { code: "UNAVAILABLE", advice: "; does it speak TLS at all, or is it http:// instead?" };
const UNTRUSTED: Advice = {
  code: "UNAVAILABLE",
  advice: "; its certificate is not trusted: name the authority's in NODE_EXTRA_CA_CERTS",
};
const MISNAMED: Advice = { code: "UNAVAILABLE", advice: "; its certificate is for another host name" };
const NOTHING: Advice = { code: "UNAVAILABLE", advice: "" };

/** What the codes of Node, OpenSSL and undici's parser tell about a registry's address. */
const ADVICE: readonly (readonly [RegExp, Advice])[] = [
  [/^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$/, NOBODY],
  [/^(HPE_|HTTPParserError)/, NO_HTTP],
  [/^(ERR_SSL_WRONG_VERSION_NUMBER|ERR_SSL_PACKET_LENGTH_TOO_LONG|EPROTO)$/, NO_TLS],
  [/(SELF_SIGNED_CERT|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER|CERT_UNTRUSTED)/, UNTRUSTED],
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, MISNAMED],
];

/** From an error that a request ended with to what it means. */
export function adviceFor(cause: unknown): Advice {
  const code = codeOf(cause);
  if (code === "ECONNRESET" && /before secure TLS/.test(String((cause as Error).message))) return CUT_SHORT;
  return ADVICE.find(([pattern]) => pattern.test(code))?.[1] ?? NOTHING;
}

/** Several addresses tried in vain make one error that holds the others; undici's parser has but a name for some. */
function codeOf(cause: unknown): string {
  const { code, name, errors } = (cause ?? {}) as Readonly<Record<"code" | "name" | "errors", unknown>>;
  if (typeof code === "string") return code;
  return Array.isArray(errors) && errors.length > 0 ? codeOf(errors[0]) : String(name);
}
