/** The name the field has agreed on (ORCA, which Envoy and gRPC speak). */
export const LOAD_HEADER = "endpoint-load-metrics";

/** Of several metrics the one that says most: an application knows better than its processor what it can take. */
const UTILIZATION = /(?:^TEXT |,)\s*application_utilization=(\d{1,6}(?:\.\d{1,20})?)\s*(?:,|$)/;

/** What a server says of itself in ORCA's text form: the share of its capacity that is taken. */
export function loadText(utilization: number): string {
  return `TEXT application_utilization=${utilization.toFixed(3)}`;
}

/**
 * The share of its capacity that a response says is taken, 0 to 1; undefined if it says nothing that can be read.
 *
 * @param headers undici's raw ones: names and values in turn
 */
export function utilizationIn(headers: readonly (Buffer | string)[]): number | undefined {
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index] as Buffer | string;
    if (name.length !== LOAD_HEADER.length || name.toString().toLowerCase() !== LOAD_HEADER) continue;
    const found = UTILIZATION.exec(String(headers[index + 1]))?.[1];
    return found === undefined ? undefined : Math.min(Number(found), 1);
  }
  return undefined;
}
