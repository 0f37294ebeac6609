/** A URL for messages, without what may be secret in it. */
export function shownUrl(text: string): string {
  return text.replace(/\?.*$/s, "?…").replace(/\/\/[^/]*@/, "//…@");
}
