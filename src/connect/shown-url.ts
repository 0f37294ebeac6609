/** A URL for messages, without what may be secret in it; it need not be one that can be read. */
export function shownUrl(text: string): string {
  return text.replace(/^(.*?\/\/)?.*@/s, "$1…@").replace(/[?#].*$/s, "?…");
}
