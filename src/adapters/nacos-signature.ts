import { createHmac } from "node:crypto";

/** A key of Alibaba Cloud's, for Nacos as it is sold there. */
export interface NacosKey {
  readonly accessKey: string;
  readonly secretKey: string;
}

/** Who asks, and what they prove it with: for messages. */
export interface NacosUser {
  readonly name: string;
  readonly secret: "password" | "secret key";
}

/** What shows that a request comes from whoever has a key; good for some minutes of the server's clock. */
export type NacosSignature = Readonly<Record<"ak" | "data" | "signature", string>>;

/**
 * Signs as Nacos' own clients do: HMAC-SHA1 of the time and of the service it is about, in Base64.
 *
 * @param grouped the service with its group, `group@@service`; undefined if it is about none
 */
export function signatureOf(
  { accessKey: ak, secretKey }: NacosKey,
  grouped: string | undefined,
  wallMs: number,
): NacosSignature {
  const data = grouped === undefined ? String(wallMs) : `${wallMs}@@${grouped}`;
  return { ak, data, signature: createHmac("sha1", secretKey).update(data).digest("base64") };
}
