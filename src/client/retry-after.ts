const NAME = "retry-after";

/**
 * For how long a response asks to be left alone, in milliseconds; 0 if it does not. Both forms of RFC 9110, section
 * 10.2.3, are understood: seconds, and a date.
 *
 * @param headers undici's raw ones: names and values in turn
 * @param wall milliseconds since 1970
 */
export function retryAfterMs(headers: readonly (Buffer | string)[], wall: number): number {
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index] as Buffer | string;
    if (name.length !== NAME.length || name.toString().toLowerCase() !== NAME) continue;
    const value = String(headers[index + 1]).trim();
    const ms = /^\d{1,9}$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - wall;
    return Number.isNaN(ms) ? 0 : Math.max(0, ms);
  }
  return 0;
}
